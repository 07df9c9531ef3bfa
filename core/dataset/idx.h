// The IDX format of MNIST's files (http://yann.lecun.com/exdb/mnist/): two zero bytes, the element
// type, the number of dimensions, each dimension as a big-endian uint32, the values.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace innerloop {

inline constexpr int kMaxIdxDimensions = 4;
inline constexpr size_t kMaxIdxHeader = 4 + 4 * kMaxIdxDimensions;

// An array of unsigned bytes; `values` is borrowed.
struct IdxArray {
  std::vector<int64_t> shape;
  absl::Span<const uint8_t> values;
};

// How long a file is that begins so, header included. Takes the first kMaxIdxHeader bytes, or the
// whole file if it is shorter. INVALID_ARGUMENT for another format or element type, more than
// 4 dimensions, or more than 8 GiB.
absl::StatusOr<uint64_t> IdxFileSize(absl::string_view beginning);

// INVALID_ARGUMENT, besides, when the file has not exactly its size.
absl::StatusOr<IdxArray> ParseIdx(absl::string_view file);

}  // namespace innerloop
