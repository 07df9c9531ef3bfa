#include <algorithm>
#include <array>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/dataset/archive.h"
#include "core/dataset/idx.h"
#include "core/dataset/import.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr uint64_t kMaxIdxBytes = uint64_t{8} << 30;
constexpr char kUnsignedByte = 0x08;

// Reads no more than the header announces, so that a small compressed file cannot fill memory.
absl::StatusOr<std::string> ReadIdxFile(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(GzipFile file, GzipFile::Open(path));
  INNERLOOP_ASSIGN_OR_RETURN(std::string bytes, file.Read(kMaxIdxHeader));
  INNERLOOP_ASSIGN_OR_RETURN(const uint64_t size, IdxFileSize(bytes));
  if (size >= bytes.size()) {
    // One more, to see whether the file goes on.
    INNERLOOP_ASSIGN_OR_RETURN(const std::string rest, file.Read(size - bytes.size() + 1));
    bytes += rest;
  }
  INNERLOOP_RETURN_IF_ERROR(ParseIdx(bytes).status());
  return bytes;
}

absl::StatusOr<std::string> ReadIdxNamed(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadIdxFile(path);
  if (bytes.ok()) {
    return bytes;
  }
  return absl::Status(bytes.status().code(),
                      absl::StrCat("the IDX file '", path, "': ", bytes.status().message()));
}

// The joined pairs, in the order they were given.
struct Joined {
  std::vector<int64_t> image_shape;  // [H, W, C]
  std::vector<uint8_t> images;
  std::vector<uint8_t> labels;
};

absl::Status Append(const std::string& images_path, const std::string& labels_path,
                    Joined& joined) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::string image_bytes, ReadIdxNamed(images_path));
  INNERLOOP_ASSIGN_OR_RETURN(const std::string label_bytes, ReadIdxNamed(labels_path));
  INNERLOOP_ASSIGN_OR_RETURN(const IdxArray images, ParseIdx(image_bytes));
  INNERLOOP_ASSIGN_OR_RETURN(const IdxArray labels, ParseIdx(label_bytes));
  const size_t dimensions = images.shape.size();
  if (dimensions != 3 && dimensions != 4) {
    return absl::InvalidArgumentError(absl::StrCat("the IDX file '", images_path, "' has ",
                                                   dimensions, " dimensions; images have 3 or 4"));
  }
  if (labels.shape.size() != 1 || labels.shape[0] != images.shape[0]) {
    return absl::InvalidArgumentError(
        absl::StrCat("the IDX file '", labels_path, "' must hold one label for each of the ",
                     images.shape[0], " images of '", images_path, "'"));
  }
  std::vector<int64_t> image_shape(images.shape.begin() + 1, images.shape.end());
  image_shape.resize(3, 1);
  if (!joined.image_shape.empty() && joined.image_shape != image_shape) {
    return absl::InvalidArgumentError(absl::StrCat("the images of '", images_path,
                                                   "' have another shape than those before them"));
  }
  joined.image_shape = image_shape;
  joined.images.insert(joined.images.end(), images.values.begin(), images.values.end());
  joined.labels.insert(joined.labels.end(), labels.values.begin(), labels.values.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> IdxFileSize(absl::string_view beginning) {
  if (beginning.size() < 4 || beginning[0] != 0 || beginning[1] != 0) {
    return absl::InvalidArgumentError("it does not begin as IDX files do");
  }
  if (beginning[2] != kUnsignedByte) {
    return absl::InvalidArgumentError(absl::StrCat("its elements are of the type ",
                                                   static_cast<uint8_t>(beginning[2]),
                                                   "; only unsigned bytes (type 8) are taken"));
  }
  const auto dimensions = static_cast<uint8_t>(beginning[3]);
  if (dimensions < 1 || dimensions > kMaxIdxDimensions ||
      beginning.size() < size_t{4} + size_t{4} * dimensions) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header of ", dimensions,
                     " dimensions is incomplete, or they are not 1 to ", kMaxIdxDimensions));
  }
  uint64_t values = 1;
  for (size_t i = 0; i < dimensions; ++i) {
    uint64_t dimension = 0;
    for (size_t byte = 0; byte < 4; ++byte) {
      dimension = dimension << 8 | static_cast<uint8_t>(beginning[4 + 4 * i + byte]);
    }
    if (dimension == 0 || dimension > kMaxIdxBytes / values) {
      return absl::InvalidArgumentError(absl::StrCat("its dimension ", i, " is ", dimension,
                                                     "; files have up to ", kMaxIdxBytes,
                                                     " values, and some"));
    }
    values *= dimension;
  }
  return size_t{4} + size_t{4} * dimensions + values;
}

absl::StatusOr<IdxArray> ParseIdx(absl::string_view file) {
  INNERLOOP_ASSIGN_OR_RETURN(const uint64_t size, IdxFileSize(file));
  if (file.size() != size) {
    return absl::InvalidArgumentError(absl::StrCat("it should have ", size, " bytes and has ",
                                                   file.size() < size ? "" : "at least ",
                                                   file.size()));
  }
  IdxArray array;
  const auto* const bytes = reinterpret_cast<const uint8_t*>(file.data());
  const size_t dimensions = bytes[3];
  for (size_t i = 0; i < dimensions; ++i) {
    const uint8_t* const at = bytes + 4 + 4 * i;
    array.shape.push_back(int64_t{at[0]} << 24 | at[1] << 16 | at[2] << 8 | at[3]);
  }
  array.values = absl::MakeConstSpan(bytes, file.size()).subspan(4 + 4 * dimensions);
  return array;
}

absl::StatusOr<DatasetContent> ImportIdx(const IdxImportOptions& options,
                                         const ImportProgress& progress) {
  if (options.images.empty() || options.images.size() != options.labels.size()) {
    return absl::InvalidArgumentError(absl::StrCat("there are ", options.images.size(),
                                                   " files of images and ", options.labels.size(),
                                                   " of labels; they come in pairs"));
  }
  Joined joined;
  for (size_t i = 0; i < options.images.size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(Append(options.images[i], options.labels[i], joined));
    if (progress != nullptr) {
      progress(static_cast<int64_t>(joined.labels.size()));
    }
  }

  DatasetContent content;
  content.name = options.name;
  content.example_shape = joined.image_shape;
  content.preparation = {"format=idx"};
  std::vector<size_t> order(joined.labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return joined.labels[a] < joined.labels[b]; });
  const size_t image_values = joined.images.size() / joined.labels.size();
  content.images.reserve(joined.images.size());
  int last = -1;
  for (const size_t example : order) {
    if (joined.labels[example] != last) {
      last = joined.labels[example];
      content.class_names.push_back(absl::StrCat(last));
    }
    content.labels.push_back(static_cast<int64_t>(content.class_names.size()) - 1);
    const auto begin = joined.images.begin() + static_cast<std::ptrdiff_t>(example * image_values);
    content.images.insert(content.images.end(), begin,
                          begin + static_cast<std::ptrdiff_t>(image_values));
  }
  return content;
}

}  // namespace innerloop
