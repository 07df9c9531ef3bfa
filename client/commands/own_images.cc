#include "client/commands/own_images.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/dataset/image_reader.h"
#include "core/dataset/preparation.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

namespace fs = std::filesystem;

std::string PathOf(const ReadImage& image) {
  return image.folders.empty() ? image.file
                               : absl::StrCat(absl::StrJoin(image.folders, "/"), "/", image.file);
}

// Whether there are images or folders in it; `error` is set when it cannot be read.
bool HoldsSomething(const fs::path& folder, std::error_code& error) {
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored) || IsImageName(entry->path().filename().string())) {
      return true;
    }
  }
  return false;
}

// Folders that hold neither images nor folders: a class that was forgotten. What cannot be read is
// found when the images are.
absl::Status CheckNoneEmpty(const std::string& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unreadable;
    if (!entry->is_directory(unreadable) || absl::StartsWith(name, ".") || name == "__MACOSX") {
      continue;
    }
    if (!HoldsSomething(entry->path(), unreadable) && !unreadable) {
      return absl::InvalidArgumentError(
          absl::StrCat("the class folder '", entry->path().string(), "' has no images"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ImageImportOptions> OptionsFor(const v1::ModelDescription& model) {
  if (!model.has_data_set()) {
    return absl::InvalidArgumentError(
        "the checkpoint does not tell how the images it was trained on were prepared");
  }
  return ImageOptionsOf(model.data_set());
}

// Sorted by their paths, with the values in that order.
OwnExamples ExamplesOf(const v1::ModelDescription& model, std::vector<ReadImage>& images,
                       const ImageReader& reader) {
  std::sort(images.begin(), images.end(), [](const ReadImage& a, const ReadImage& b) {
    return std::pair(a.folders, a.file) < std::pair(b.folders, b.file);
  });
  OwnExamples examples;
  *examples.inputs.mutable_shape() = model.input_shape();
  std::string& values = *examples.inputs.mutable_uint8();
  values.reserve(images.size() * reader.image_values());
  for (const ReadImage& image : images) {
    const uint8_t* const first = reader.values().data() + image.index * reader.image_values();
    values.append(reinterpret_cast<const char*>(first), reader.image_values());
    examples.names.push_back(PathOf(image));
  }
  return examples;
}

}  // namespace

absl::StatusOr<OwnExamples> ReadClassFolders(const v1::ModelDescription& model,
                                             const std::string& source) {
  INNERLOOP_ASSIGN_OR_RETURN(const ImageImportOptions options, OptionsFor(model));
  INNERLOOP_RETURN_IF_ERROR(CheckNoneEmpty(source));
  const ImportProgress progress;
  ImageReader reader(options, progress);
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<ReadImage> images, reader.Read(source));
  OwnExamples examples = ExamplesOf(model, images, reader);
  std::map<std::string, std::set<std::string>> paths;  // by the last folder's name
  for (const ReadImage& image : images) {
    if (image.folders.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the image '", image.file, "' in '", source,
          "' is in no folder; a support set is a folder of class folders, each with images"));
    }
    paths[image.folders.back()].insert(absl::StrJoin(image.folders, "/"));
  }
  const bool distinct = std::all_of(paths.begin(), paths.end(),
                                    [](const auto& entry) { return entry.second.size() == 1; });
  for (const ReadImage& image : images) {
    examples.classes.push_back(distinct ? image.folders.back() : absl::StrJoin(image.folders, "/"));
  }
  return examples;
}

absl::StatusOr<OwnExamples> ReadImages(const v1::ModelDescription& model,
                                       const std::vector<std::string>& classes,
                                       const std::string& source) {
  INNERLOOP_ASSIGN_OR_RETURN(const ImageImportOptions options, OptionsFor(model));
  const ImportProgress progress;
  ImageReader reader(options, progress);
  std::vector<ReadImage> images;
  std::error_code error;
  if (IsImageName(fs::path(source).filename().string()) && !fs::is_directory(source, error)) {
    INNERLOOP_ASSIGN_OR_RETURN(ReadImage image, reader.ReadFile(source));
    images.push_back(std::move(image));
  } else {
    INNERLOOP_ASSIGN_OR_RETURN(images, reader.Read(source));
  }
  OwnExamples examples = ExamplesOf(model, images, reader);
  for (const ReadImage& image : images) {
    const std::string path = absl::StrJoin(image.folders, "/");
    const bool by_path = std::find(classes.begin(), classes.end(), path) != classes.end();
    examples.classes.push_back(by_path || image.folders.empty() ? path : image.folders.back());
  }
  return examples;
}

}  // namespace innerloop::client
