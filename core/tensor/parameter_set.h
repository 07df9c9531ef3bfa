// Meta-parameters and their updates: named, shaped views of one flat float32 buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "innerloop/v1/tensor.pb.h"

namespace innerloop {

// A tensor of a layout. Plain data.
struct TensorEntry {
  std::string name;
  std::vector<int64_t> shape;
  v1::TensorRole role = v1::TENSOR_ROLE_OPTIMISED;
  double learning_rate_multiplier = 1;
  std::optional<double> lower_bound;
  std::optional<double> upper_bound;
  // In values from the start of the flat buffer; a multiple of 16 (64 bytes).
  int64_t offset = 0;
  // Number of values.
  int64_t size = 0;
};

// Which tensors there are and where each lies in the flat buffer. Immutable after Create;
// thread-safe.
class Layout {
 public:
  Layout() = default;
  // Checks names (unique, 1 to 200 printable ASCII characters, not beginning with "optimizer/" or
  // "__"), shapes (at most 16 dimensions, each at least 1; at most `max_scalars` in total),
  // multipliers and bounds. INVALID_ARGUMENT or RESOURCE_EXHAUSTED, naming the tensor. Takes memory
  // for the description only.
  static absl::StatusOr<Layout> Create(const v1::ParameterLayout& proto,
                                       uint64_t max_scalars = UINT64_MAX);

  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  // Null when there is none of that name.
  const TensorEntry* Find(absl::string_view name) const;
  // Length of the flat buffer in values, padding included.
  int64_t flat_size() const { return flat_size_; }
  // Scalars without padding: the model's "number of parameters".
  int64_t scalars() const { return scalars_; }
  v1::ParameterLayout ToProto() const;
  // Same names, shapes and roles in the same order.
  bool SameAs(const Layout& other) const;
  // One line that says how `other` differs from this, e.g. "tensor 3: 'a' [2,3] against 'b' [2,4]";
  // empty when SameAs.
  std::string Difference(const Layout& other) const;

 private:
  std::vector<TensorEntry> tensors_;
  int64_t flat_size_ = 0;
  int64_t scalars_ = 0;
};

// A float32 buffer that starts at a multiple of 64 bytes. Movable, which empties it; copies are
// explicit. Thread-compatible.
class FlatBuffer {
 public:
  FlatBuffer() = default;
  // Zeros.
  explicit FlatBuffer(int64_t size);
  // Any values: for who writes all of them next.
  static FlatBuffer Uninitialised(int64_t size);
  FlatBuffer(FlatBuffer&& other) noexcept;
  FlatBuffer& operator=(FlatBuffer&& other) noexcept;
  FlatBuffer Clone() const;

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  absl::Span<float> values() { return absl::MakeSpan(data_.get(), static_cast<size_t>(size_)); }
  absl::Span<const float> values() const {
    return absl::MakeConstSpan(data_.get(), static_cast<size_t>(size_));
  }
  absl::string_view bytes() const {
    return {reinterpret_cast<const char*>(data_.get()), static_cast<size_t>(size_) * sizeof(float)};
  }
  char* mutable_bytes() { return reinterpret_cast<char*>(data_.get()); }

 private:
  struct Free {
    void operator()(float* data) const;
  };
  std::unique_ptr<float[], Free> data_;
  int64_t size_ = 0;
};

// SHA-256, lower-case hex, over the tensors in the layout's order: for each its name, a zero byte,
// the number of dimensions and each dimension as little-endian int64, then its values as
// little-endian float32 (no padding). `flat` has the layout's flat_size.
std::string ParametersSha256(const Layout& layout, absl::Span<const float> flat);

// Whether every value is finite. Fast (no early exit inside a block).
bool AllFinite(absl::Span<const float> values);

}  // namespace innerloop
