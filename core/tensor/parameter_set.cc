#include "core/tensor/parameter_set.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kAlignmentValues = kAlignment / sizeof(float);
constexpr int kMaxDimensions = 16;
constexpr size_t kMaxNameLength = 200;
// Far beyond any machine's memory, and small enough that sizes in bytes cannot overflow.
constexpr uint64_t kMaxScalars = uint64_t{1} << 48;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

absl::Status CheckName(int index, const std::string& name) {
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (name.empty() || name.size() > kMaxNameLength ||
      !std::all_of(name.begin(), name.end(), printable)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the name of tensor ", index, " has ", name.size(),
                     " characters; names have 1 to 200 printable ASCII characters, no spaces"));
  }
  // Checkpoint files keep the optimiser's state and their metadata under these.
  if (absl::string_view(name).substr(0, 10) == "optimizer/" ||
      absl::string_view(name).substr(0, 2) == "__") {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", name, "': names may not begin with 'optimizer/' or '__'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorEntry> ReadEntry(const v1::TensorSpec& spec, uint64_t max_scalars) {
  const auto invalid = [&](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", spec.name(), "': ", what...));
  };
  TensorEntry entry;
  entry.name = spec.name();
  entry.shape.assign(spec.shape().begin(), spec.shape().end());
  if (entry.shape.size() > kMaxDimensions) {
    return invalid("has ", entry.shape.size(), " dimensions; at most ", kMaxDimensions);
  }
  uint64_t size = 1;
  for (const int64_t dimension : entry.shape) {
    if (dimension < 1) {
      return invalid("the shape ", ShapeText(entry.shape), " has a dimension below 1");
    }
    if (static_cast<uint64_t>(dimension) > max_scalars / size) {
      return absl::ResourceExhaustedError(
          absl::StrCat("tensor '", spec.name(), "' of shape ", ShapeText(entry.shape),
                       " has more scalars than the ", max_scalars, " that are allowed"));
    }
    size *= static_cast<uint64_t>(dimension);
  }
  entry.size = static_cast<int64_t>(size);

  switch (spec.role()) {
    case v1::TENSOR_ROLE_UNSPECIFIED:
      entry.role = v1::TENSOR_ROLE_OPTIMISED;
      break;
    case v1::TENSOR_ROLE_OPTIMISED:
    case v1::TENSOR_ROLE_AVERAGED:
    case v1::TENSOR_ROLE_FIXED:
      entry.role = spec.role();
      break;
    default:
      return invalid("unknown role ", static_cast<int>(spec.role()));
  }
  if (spec.has_learning_rate_multiplier()) {
    entry.learning_rate_multiplier = spec.learning_rate_multiplier();
    if (!std::isfinite(entry.learning_rate_multiplier) || entry.learning_rate_multiplier < 0) {
      return invalid("the learning-rate multiplier ", entry.learning_rate_multiplier,
                     " is not a finite number of at least 0");
    }
  }
  if (spec.has_lower_bound()) {
    entry.lower_bound = spec.lower_bound();
  }
  if (spec.has_upper_bound()) {
    entry.upper_bound = spec.upper_bound();
  }
  const double low = entry.lower_bound.value_or(-INFINITY);
  const double high = entry.upper_bound.value_or(INFINITY);
  if (!(low <= high)) {  // also for NaN
    return invalid("the bounds [", low, ", ", high, "] hold no value");
  }
  return entry;
}

}  // namespace

absl::StatusOr<Layout> Layout::Create(const v1::ParameterLayout& proto, uint64_t max_scalars) {
  const uint64_t limit = std::min(max_scalars, kMaxScalars);
  Layout layout;
  layout.tensors_.reserve(static_cast<size_t>(proto.tensors_size()));
  absl::flat_hash_set<absl::string_view> names;
  uint64_t scalars = 0;
  for (const v1::TensorSpec& spec : proto.tensors()) {
    INNERLOOP_RETURN_IF_ERROR(CheckName(static_cast<int>(layout.tensors_.size()), spec.name()));
    if (!names.insert(spec.name()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", spec.name(), "' is there twice; names are unique"));
    }
    INNERLOOP_ASSIGN_OR_RETURN(TensorEntry entry, ReadEntry(spec, limit));
    scalars += static_cast<uint64_t>(entry.size);
    if (scalars > limit) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "up to tensor '", spec.name(), "' there are ", scalars, " scalars; at most ", limit));
    }
    entry.offset = layout.flat_size_;
    layout.flat_size_ += (entry.size + kAlignmentValues - 1) / kAlignmentValues * kAlignmentValues;
    layout.tensors_.push_back(std::move(entry));
  }
  layout.scalars_ = static_cast<int64_t>(scalars);
  return layout;
}

const TensorEntry* Layout::Find(absl::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorEntry& entry) { return entry.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

v1::ParameterLayout Layout::ToProto() const {
  v1::ParameterLayout proto;
  for (const TensorEntry& entry : tensors_) {
    v1::TensorSpec& spec = *proto.add_tensors();
    spec.set_name(entry.name);
    spec.mutable_shape()->Add(entry.shape.begin(), entry.shape.end());
    spec.set_role(entry.role);
    if (entry.learning_rate_multiplier != 1) {
      spec.set_learning_rate_multiplier(entry.learning_rate_multiplier);
    }
    if (entry.lower_bound.has_value()) {
      spec.set_lower_bound(*entry.lower_bound);
    }
    if (entry.upper_bound.has_value()) {
      spec.set_upper_bound(*entry.upper_bound);
    }
  }
  return proto;
}

bool Layout::SameAs(const Layout& other) const { return Difference(other).empty(); }

std::string Layout::Difference(const Layout& other) const {
  const auto text = [](const TensorEntry& entry) {
    return absl::StrCat("'", entry.name, "' ", ShapeText(entry.shape),
                        entry.role == v1::TENSOR_ROLE_AVERAGED ? " averaged"
                        : entry.role == v1::TENSOR_ROLE_FIXED  ? " fixed"
                                                               : "");
  };
  const size_t common = std::min(tensors_.size(), other.tensors_.size());
  for (size_t i = 0; i < common; ++i) {
    const TensorEntry& a = tensors_[i];
    const TensorEntry& b = other.tensors_[i];
    if (a.name != b.name || a.shape != b.shape || a.role != b.role) {
      return absl::StrCat("tensor ", i, ": ", text(a), " against ", text(b));
    }
  }
  if (tensors_.size() != other.tensors_.size()) {
    return absl::StrCat(tensors_.size(), " tensors against ", other.tensors_.size());
  }
  return "";
}

void FlatBuffer::Free::operator()(float* data) const {
  ::operator delete[](data, std::align_val_t{kAlignment});
}

FlatBuffer::FlatBuffer(int64_t size)
    : data_(new (std::align_val_t{kAlignment}) float[static_cast<size_t>(size)]()), size_(size) {}

FlatBuffer::FlatBuffer(FlatBuffer&& other) noexcept
    : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}

FlatBuffer& FlatBuffer::operator=(FlatBuffer&& other) noexcept {
  data_ = std::move(other.data_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

FlatBuffer FlatBuffer::Uninitialised(int64_t size) {
  FlatBuffer buffer;
  buffer.data_.reset(new (std::align_val_t{kAlignment}) float[static_cast<size_t>(size)]);
  buffer.size_ = size;
  return buffer;
}

FlatBuffer FlatBuffer::Clone() const {
  FlatBuffer copy = Uninitialised(size_);
  std::copy_n(data(), size_, copy.data());
  return copy;
}

std::string ParametersSha256(const Layout& layout, absl::Span<const float> flat) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files and wire are little-endian");
  Sha256 hash;
  const auto add_int = [&](int64_t value) {
    std::array<char, sizeof value> bytes{};
    std::memcpy(bytes.data(), &value, sizeof value);
    hash.Update({bytes.data(), bytes.size()});
  };
  for (const TensorEntry& entry : layout.tensors()) {
    hash.Update({entry.name.c_str(), entry.name.size() + 1});
    add_int(static_cast<int64_t>(entry.shape.size()));
    for (const int64_t dimension : entry.shape) {
      add_int(dimension);
    }
    hash.Update({reinterpret_cast<const char*>(flat.data() + entry.offset),
                 static_cast<size_t>(entry.size) * sizeof(float)});
  }
  return hash.FinishHex();
}

bool AllFinite(absl::Span<const float> values) {
  // Infinities and NaNs are the values whose exponent bits are all ones: adding one to the exponent
  // then carries into the (cleared) sign bit. Blocks of a fixed length become vector instructions.
  constexpr size_t kBlock = 256;
  const auto carry = [](float value) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7FFFFFFFU) + 0x00800000U;
  };
  while (values.size() >= kBlock) {
    uint32_t carries = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      carries |= carry(values[i]);
    }
    if ((carries & 0x80000000U) != 0) {
      return false;
    }
    values.remove_prefix(kBlock);
  }
  return std::none_of(values.begin(), values.end(),
                      [&](float value) { return (carry(value) & 0x80000000U) != 0; });
}

}  // namespace innerloop
