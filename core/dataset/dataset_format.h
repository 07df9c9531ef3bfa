// The metadata of a data set file, and what must hold for its contents; shared by reading and
// writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/dataset/dataset.h"

namespace innerloop {

inline constexpr char kDatasetFormat[] = "innerloop-dataset-1";

// Most bytes of one metadata entry: room for a million names of a dozen characters, or a split of
// two million groups. As JSON it takes up to forty times as much memory while it is read.
inline constexpr size_t kMaxDatasetMetadata = size_t{16} << 20;

// All keys but "crc32c". INVALID_ARGUMENT when a name is no UTF-8, or an entry would be longer than
// kMaxDatasetMetadata.
absl::StatusOr<std::map<std::string, std::string>> DatasetMetadata(const DatasetContent& content);

// Fills in the fields that DatasetMetadata wrote. INVALID_ARGUMENT, one line, for entries of
// another form, longer ones and nested deeper ones.
absl::Status ReadDatasetMetadata(const std::map<std::string, std::string>& metadata,
                                 DatasetContent& content);

// What examples have, wherever it lies.
struct ExampleColumns {
  int64_t examples = 0;
  absl::Span<const int64_t> labels;
  absl::Span<const int64_t> groups;
  // Numbers of values in all.
  uint64_t target_values = 0;
  uint64_t input_values = 0;
};

// Checks `content` with these columns (its own are not looked at). INVALID_ARGUMENT: one line.
absl::Status CheckDataset(const DatasetContent& content, const ExampleColumns& columns);

}  // namespace innerloop
