#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/dataset/archive.h"
#include "core/dataset/image.h"
#include "core/dataset/import.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr uint64_t kMaxImageFile = uint64_t{64} << 20;
// The data set is made in memory, once as it comes and once sorted.
constexpr uint64_t kMaxInputs = uint64_t{16} << 30;
constexpr int64_t kProgressEvery = 1000;

// An image that was read; its values lie at `index` times an image's size.
struct Example {
  std::vector<std::string> folders;
  std::string file;
  size_t index = 0;
};

std::vector<std::string> Components(absl::string_view path) {
  return absl::StrSplit(path, '/',
                        [](absl::string_view part) { return !part.empty() && part != "."; });
}

// By its name's ending; files that systems leave behind ("._a.png", "__MACOSX/") are none.
bool IsImage(absl::string_view path) {
  for (const std::string& part : Components(path)) {
    if (part[0] == '.' || part == "__MACOSX") {
      return false;
    }
  }
  const std::string name = absl::AsciiStrToLower(path);
  const auto endings = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tga", ".ppm", ".pgm"};
  return std::any_of(endings.begin(), endings.end(),
                     [&](absl::string_view ending) { return absl::EndsWith(name, ending); });
}

// Takes away the leading folder that all of a source's images share, where that leaves each a
// class.
void DropSharedFolder(std::vector<Example>& examples) {
  for (const Example& example : examples) {
    if (example.folders.size() < 2 || example.folders[0] != examples[0].folders[0]) {
      return;
    }
  }
  for (Example& example : examples) {
    example.folders.erase(example.folders.begin());
  }
}

// Reads images and keeps their values, resized, in the order they come.
class ImageReader {
 public:
  ImageReader(const ImageImportOptions& options, const ImportProgress& progress)
      : options_(options), progress_(progress), channels_(options.grayscale ? 1 : 3) {}

  size_t image_values() const {
    return static_cast<size_t>(options_.size) * static_cast<size_t>(options_.size) *
           static_cast<size_t>(channels_);
  }
  int channels() const { return channels_; }
  std::vector<uint8_t>& values() { return values_; }

  absl::StatusOr<std::vector<Example>> Read(const std::string& source) {
    std::vector<Example> examples;
    INNERLOOP_RETURN_IF_ERROR(VisitFiles(source, IsImage, kMaxImageFile,
                                         [&](const std::string& path, const std::string& bytes) {
                                           return Add(source, path, bytes, examples);
                                         }));
    if (examples.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("there are no images in '", source, "'"));
    }
    DropSharedFolder(examples);
    return examples;
  }

 private:
  absl::Status Add(const std::string& source, const std::string& path, const std::string& bytes,
                   std::vector<Example>& examples) {
    const auto invalid = [&](auto... what) {
      return absl::InvalidArgumentError(
          absl::StrCat("the image '", path, "' in '", source, "' ", what...));
    };
    Example example{.folders = Components(path), .index = values_.size() / image_values()};
    example.file = std::move(example.folders.back());
    example.folders.pop_back();
    if (example.folders.empty()) {
      return invalid("is in no folder; the folder of an image is its class");
    }
    absl::StatusOr<Image> image = DecodeImage(bytes, channels_);
    if (!image.ok()) {
      return invalid(image.status().message());
    }
    if (values_.size() + image_values() > kMaxInputs) {
      return invalid("is one too many: the data set would have more than ", kMaxInputs, " bytes");
    }
    AppendResized(*image, options_.size, values_);
    examples.push_back(std::move(example));
    if (const auto read = static_cast<int64_t>(values_.size() / image_values());
        progress_ != nullptr && read % kProgressEvery == 0) {
      progress_(read);
    }
    return absl::OkStatus();
  }

  const ImageImportOptions& options_;
  const ImportProgress& progress_;
  const int channels_;
  std::vector<uint8_t> values_;
};

// Class name -> file name -> image. Sorted, which is the order in the data set.
using Classes = std::map<std::string, std::multimap<std::string, size_t>>;

absl::Status AddClasses(std::vector<Example> examples, const std::string& source,
                        Classes& classes) {
  Classes added;
  for (Example& example : examples) {
    added[absl::StrJoin(example.folders, "/")].emplace(std::move(example.file), example.index);
  }
  for (auto& [name, files] : added) {
    if (!classes.emplace(name, std::move(files)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("the class '", name, "' of '", source, "' is in another source too"));
    }
  }
  return absl::OkStatus();
}

// Groups are the classes' parent folders, where each class has one.
void AddGroups(DatasetContent& content) {
  std::map<std::string, uint32_t> groups;
  std::vector<std::string> parents;
  for (const std::string& name : content.class_names) {
    const size_t slash = name.rfind('/');
    if (slash == std::string::npos) {
      return;
    }
    parents.push_back(name.substr(0, slash));
    groups.emplace(parents.back(), 0);
  }
  for (auto& [name, index] : groups) {
    index = static_cast<uint32_t>(content.group_names.size());
    content.group_names.push_back(name);
  }
  for (const std::string& parent : parents) {
    content.class_groups.push_back(groups[parent]);
  }
}

}  // namespace

absl::StatusOr<DatasetContent> ImportImages(const ImageImportOptions& options,
                                            const ImportProgress& progress) {
  if (options.size < 1 || options.size > 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("images cannot be resized to ", options.size, "; 1 to 4096 are allowed"));
  }
  if (options.sources.empty()) {
    return absl::InvalidArgumentError("no folder or archive of images is given");
  }
  ImageReader reader(options, progress);
  Classes classes;
  for (const std::string& source : options.sources) {
    INNERLOOP_ASSIGN_OR_RETURN(std::vector<Example> examples, reader.Read(source));
    INNERLOOP_RETURN_IF_ERROR(AddClasses(std::move(examples), source, classes));
  }

  DatasetContent content;
  content.name = options.name;
  content.example_shape = {options.size, options.size, reader.channels()};
  content.preparation = {absl::StrCat("size=", options.size),
                         absl::StrCat("grayscale=", options.grayscale ? "true" : "false"),
                         absl::StrCat("invert=", options.invert ? "true" : "false")};
  content.images.reserve(reader.values().size());
  for (const auto& [name, files] : classes) {
    for (const auto& [file, index] : files) {
      const auto begin =
          reader.values().begin() + static_cast<std::ptrdiff_t>(index * reader.image_values());
      content.images.insert(content.images.end(), begin,
                            begin + static_cast<std::ptrdiff_t>(reader.image_values()));
      content.labels.push_back(static_cast<int64_t>(content.class_names.size()));
    }
    content.class_names.push_back(name);
  }
  if (options.invert) {
    for (uint8_t& value : content.images) {
      value = static_cast<uint8_t>(255 - value);
    }
  }
  AddGroups(content);
  if (progress != nullptr) {
    progress(static_cast<int64_t>(content.labels.size()));
  }
  return content;
}

}  // namespace innerloop
