// Images from folders, archives and files, all made alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/dataset/import.h"

namespace innerloop {

// An image that was read; its values lie at `index` times an image's size.
struct ReadImage {
  // Between the source and the file.
  std::vector<std::string> folders;
  std::string file;
  size_t index = 0;
};

// Whether a file is one, by its name's ending; files that systems leave behind ("._a.png",
// "__MACOSX/") are none.
bool IsImageName(absl::string_view path);

// Reads images and keeps their values, resized, in one channel or three and inverted as the options
// want it, in the order they come. The options' sources and name do not matter; they and `progress`
// outlive it. INVALID_ARGUMENT names the image that does not decode or is too large. One thread
// only.
class ImageReader {
 public:
  ImageReader(const ImageImportOptions& options, const ImportProgress& progress)
      : options_(options), progress_(progress), channels_(options.grayscale ? 1 : 3) {}

  // Of one image, and of all that were read.
  size_t image_values() const {
    return static_cast<size_t>(options_.size) * static_cast<size_t>(options_.size) *
           static_cast<size_t>(channels_);
  }
  int channels() const { return channels_; }
  const std::vector<uint8_t>& values() const { return values_; }

  // A folder or an archive, in its order. INVALID_ARGUMENT, besides, when it holds no images.
  absl::StatusOr<std::vector<ReadImage>> Read(const std::string& source);
  // A single file. NOT_FOUND.
  absl::StatusOr<ReadImage> ReadFile(const std::string& path);

 private:
  // Appends the image; `what` names it.
  absl::Status Add(absl::string_view bytes, absl::string_view what);

  const ImageImportOptions& options_;
  const ImportProgress& progress_;
  const int channels_;
  std::vector<uint8_t> values_;
};

}  // namespace innerloop
