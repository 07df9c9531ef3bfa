// Makes data sets from what people have.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"

namespace innerloop {

// Called now and then with the number of examples read so far.
using ImportProgress = std::function<void(int64_t examples)>;

struct ImageImportOptions {
  // Folders or archives (zip, tar, tar.gz) of class folders of images. The class of an image is the
  // path of its folder below the root that all images of the source share at most one leading
  // folder of ("images_background/Latin/character01" is class "Latin/character01"); a class
  // "GROUP/NAME" belongs to group GROUP.
  std::vector<std::string> sources;
  // Name inside the data set; default: the output file's stem.
  std::string name;
  // Height and width that images are resized to (area-averaging when shrinking), 1..4096.
  int size = 28;
  // One channel instead of three.
  bool grayscale = false;
  // 255 - value: for dark ink on a light ground.
  bool invert = false;
};

// INVALID_ARGUMENT, naming the file inside its archive, for an image that does not decode or is
// larger than 100 megapixels; an archive entry that is larger than its limit; no images at all;
// classes of the same name in two sources.
absl::StatusOr<DatasetContent> ImportImages(const ImageImportOptions& options,
                                            const ImportProgress& progress);

struct IdxImportOptions {
  // MNIST's IDX files, plain or gzip. Pairs of images and labels; several pairs are joined.
  std::vector<std::string> images;
  std::vector<std::string> labels;
  std::string name;
};
absl::StatusOr<DatasetContent> ImportIdx(const IdxImportOptions& options,
                                         const ImportProgress& progress);

}  // namespace innerloop
