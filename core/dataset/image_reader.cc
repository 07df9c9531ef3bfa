#include "core/dataset/image_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/dataset/archive.h"
#include "core/dataset/image.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr uint64_t kMaxImageFile = uint64_t{64} << 20;
constexpr int64_t kProgressEvery = 1000;

std::vector<std::string> Components(absl::string_view path) {
  return absl::StrSplit(path, '/',
                        [](absl::string_view part) { return !part.empty() && part != "."; });
}

}  // namespace

bool IsImageName(absl::string_view path) {
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

absl::StatusOr<std::vector<ReadImage>> ImageReader::Read(const std::string& source) {
  std::vector<ReadImage> images;
  INNERLOOP_RETURN_IF_ERROR(
      VisitFiles(source, IsImageName, kMaxImageFile,
                 [&](const std::string& path, const std::string& bytes) -> absl::Status {
                   ReadImage image;
                   image.folders = Components(path);
                   image.file = std::move(image.folders.back());
                   image.folders.pop_back();
                   image.index = values_.size() / image_values();
                   images.push_back(std::move(image));
                   return Add(bytes, absl::StrCat("the image '", path, "' in '", source, "' "));
                 }));
  if (images.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("there are no images in '", source, "'"));
  }
  return images;
}

absl::StatusOr<ReadImage> ImageReader::ReadFile(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  ReadImage image;
  image.file = path;
  image.index = values_.size() / image_values();
  INNERLOOP_RETURN_IF_ERROR(Add(file.bytes(), absl::StrCat("the image '", path, "' ")));
  return image;
}

absl::Status ImageReader::Add(absl::string_view bytes, absl::string_view what) {
  absl::StatusOr<Image> image = DecodeImage(bytes, channels_);
  if (!image.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(what, image.status().message()));
  }
  if (values_.size() + image_values() > kMaxInputs) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, "is one too many: the data set would have more than ", kMaxInputs, " bytes"));
  }
  const size_t before = values_.size();
  AppendResized(*image, options_.size, values_);
  if (options_.invert) {
    std::transform(values_.begin() + static_cast<std::ptrdiff_t>(before), values_.end(),
                   values_.begin() + static_cast<std::ptrdiff_t>(before),
                   [](uint8_t value) { return static_cast<uint8_t>(255 - value); });
  }
  if (const auto read = static_cast<int64_t>(values_.size() / image_values());
      progress_ != nullptr && read % kProgressEvery == 0) {
    progress_(read);
  }
  return absl::OkStatus();
}

}  // namespace innerloop
