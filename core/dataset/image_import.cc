#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/dataset/image_reader.h"
#include "core/dataset/import.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// Takes away the leading folder that all of a source's images share, where that leaves each a
// class.
void DropSharedFolder(std::vector<ReadImage>& images) {
  for (const ReadImage& image : images) {
    if (image.folders.size() < 2 || image.folders[0] != images[0].folders[0]) {
      return;
    }
  }
  for (ReadImage& image : images) {
    image.folders.erase(image.folders.begin());
  }
}

// Class name -> file name -> image. Sorted, which is the order in the data set.
using Classes = std::map<std::string, std::multimap<std::string, size_t>>;

absl::Status AddClasses(std::vector<ReadImage> images, const std::string& source,
                        Classes& classes) {
  Classes added;
  for (ReadImage& image : images) {
    if (image.folders.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the image '", image.file, "' in '", source,
                       "' is in no folder; the folder of an image is its class"));
    }
    added[absl::StrJoin(image.folders, "/")].emplace(std::move(image.file), image.index);
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
    INNERLOOP_ASSIGN_OR_RETURN(std::vector<ReadImage> images, reader.Read(source));
    DropSharedFolder(images);
    INNERLOOP_RETURN_IF_ERROR(AddClasses(std::move(images), source, classes));
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
  AddGroups(content);
  if (progress != nullptr) {
    progress(static_cast<int64_t>(content.labels.size()));
  }
  return content;
}

}  // namespace innerloop
