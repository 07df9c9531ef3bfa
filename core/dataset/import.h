// Makes data sets from what people have.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"

namespace innerloop {

// Most bytes that an import keeps of what it reads, so that a small compressed file cannot fill the
// memory. The data set is made there, once as it comes and once sorted.
inline constexpr uint64_t kMaxInputs = uint64_t{16} << 30;

// Called now and then with the number of examples read so far. May be null.
using ImportProgress = std::function<void(int64_t examples)>;

struct ImageImportOptions {
  // Folders or archives (zip, tar, tar.gz) of class folders of images. The class of an image is the
  // path of its folder, without the first folder where all images of the source share that
  // ("images_background/Latin/character01" is class "Latin/character01"). Where every class is
  // "GROUP/NAME", it belongs to group GROUP. Files that are not called like images are left out.
  std::vector<std::string> sources;
  // Name inside the data set.
  std::string name;
  // Height and width that images are resized to (each pixel is the mean over the area that it
  // covers), 1..4096.
  int size = 28;
  // One channel instead of three.
  bool grayscale = false;
  // 255 - value: for dark ink on a light ground.
  bool invert = false;
};

// Classes are sorted by name, a class's examples by file name. INVALID_ARGUMENT, naming the file
// inside its archive, for an image that does not decode or is larger than 100 megapixels; a file of
// more than 64 MiB; no images at all; classes of the same name in two sources.
absl::StatusOr<DatasetContent> ImportImages(const ImageImportOptions& options,
                                            const ImportProgress& progress);

struct IdxImportOptions {
  // MNIST's IDX files, plain or gzip. Pairs of images (uint8 [N, H, W] or [N, H, W, C]) and labels
  // (uint8 [N]); several pairs are joined.
  std::vector<std::string> images;
  std::vector<std::string> labels;
  std::string name;
};
// A class is called by its label's number. INVALID_ARGUMENT, naming the file.
absl::StatusOr<DatasetContent> ImportIdx(const IdxImportOptions& options,
                                         const ImportProgress& progress);

struct CsvImportOptions {
  // Plain or gzip; the first line names the columns.
  std::string file;
  std::string name;
  // Columns of numbers: names, or "FIRST-LAST" for a run of neighbours. None: all columns but the
  // targets and the group.
  std::vector<std::string> features;
  // A column of classes; for regression one or more columns of numbers.
  std::vector<std::string> targets;
  bool regression = false;
  // The column of each row's group; empty for none.
  std::string group;
  // Leave out rows with an empty cell in a column that is used, instead of refusing them. The
  // preparation says how many there were.
  bool skip_missing = false;
  // Most bytes of memory that its rows may take.
  uint64_t max_bytes = kMaxInputs;
};
// Classes and groups are sorted by name; the rows of a class (with groups: of a group) keep the
// file's order. INVALID_ARGUMENT, "FILE:LINE: ..." where there is a line: cells that are empty or
// no numbers, columns that are unknown (with the nearest known one) or given twice, rows of another
// length than the first line's, no rows at all, too many for `max_bytes`, numbers that float32 does
// not hold, regression without groups.
//
// `hints`, if not null, is set to what may have been meant otherwise, one line each: a target of
// quantities without `regression`, one class alone, a feature that looks like a group.
absl::StatusOr<DatasetContent> ImportCsv(const CsvImportOptions& options,
                                         const ImportProgress& progress,
                                         std::vector<std::string>* hints = nullptr);

}  // namespace innerloop
