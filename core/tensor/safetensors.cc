#include "core/tensor/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"
#include "core/tensor/safetensors_header.h"

namespace innerloop {
namespace {

constexpr size_t kPrefix = 8;  // the header's length
constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kDataAlignment = 64;
constexpr absl::string_view kUnsealed = "00000000";
// Quotes inside a JSON string are escaped, so this cannot be part of one.
constexpr absl::string_view kCrcKey = R"("crc32c":")";

struct TypeName {
  ElementType type;
  absl::string_view name;
  int64_t size;
};
constexpr TypeName kTypes[] = {
    {ElementType::kU8, "U8", 1}, {ElementType::kF32, "F32", 4}, {ElementType::kI64, "I64", 8}};

const TypeName& Describe(ElementType type) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes),
                       [&](const TypeName& known) { return known.type == type; });
}

// Bytes that a tensor takes; false when that is beyond 2^62 or a dimension is.
bool ByteSize(ElementType type, absl::Span<const uint64_t> shape, uint64_t& bytes) {
  constexpr uint64_t kLimit = uint64_t{1} << 62;
  bytes = static_cast<uint64_t>(ElementSize(type));
  bool fits = true;
  bool empty = false;
  for (const uint64_t dimension : shape) {
    if (dimension == 0) {
      empty = true;
    } else if (dimension > kLimit / bytes) {
      fits = false;
    } else {
      bytes *= dimension;
    }
  }
  if (empty) {
    bytes = 0;
  }
  return fits;
}

absl::StatusOr<SafeTensor> ReadTensor(const SafeTensorsHeader::Tensor& description,
                                      absl::string_view data) {
  const auto invalid = [&](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", description.name, "' ", what...));
  };
  const auto* const type =
      std::find_if(std::begin(kTypes), std::end(kTypes),
                   [&](const TypeName& known) { return known.name == description.type; });
  if (type == std::end(kTypes)) {
    return invalid("has the type '", description.type, "'; known: U8, F32, I64");
  }
  const uint64_t begin = description.data_offsets[0];
  const uint64_t end = description.data_offsets[1];
  if (begin > end || end > data.size()) {
    return invalid("lies at bytes ", begin, " to ", end, " of ", data.size());
  }
  uint64_t bytes = 0;
  if (!ByteSize(type->type, description.shape, bytes) || bytes != end - begin) {
    return invalid("of shape [", absl::StrJoin(description.shape, ","), "] and type ", type->name,
                   " has ", end - begin, " bytes");
  }
  SafeTensor tensor;
  tensor.name = description.name;
  tensor.type = type->type;
  tensor.shape.assign(description.shape.begin(), description.shape.end());
  tensor.bytes = data.substr(begin, end - begin);
  return tensor;
}

absl::StatusOr<SafeTensorsView> Parse(absl::string_view file) {
  if (file.size() < kPrefix) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", file.size(), " bytes, less than a header"));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kPrefix);
  if (length > kMaxHeader || length > file.size() - kPrefix) {
    return absl::InvalidArgumentError(absl::StrCat("its header should have ", length,
                                                   " bytes; the file has ", file.size(),
                                                   ", and at most ", kMaxHeader, " are allowed"));
  }
  INNERLOOP_ASSIGN_OR_RETURN(SafeTensorsHeader header,
                             ReadSafeTensorsHeader(file.substr(kPrefix, length)));
  const absl::string_view data = file.substr(kPrefix + length);
  SafeTensorsView view;
  view.metadata = std::move(header.metadata);
  view.tensors.reserve(header.tensors.size());
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const auto& a, const auto& b) { return a.data_offsets < b.data_offsets; });
  uint64_t next = 0;
  for (const SafeTensorsHeader::Tensor& description : header.tensors) {
    INNERLOOP_ASSIGN_OR_RETURN(SafeTensor tensor, ReadTensor(description, data));
    if (description.data_offsets[0] != next) {
      return absl::InvalidArgumentError(absl::StrCat("tensor '", tensor.name, "' begins at byte ",
                                                     description.data_offsets[0],
                                                     "; the one before it ends at ", next));
    }
    next = description.data_offsets[1];
    view.tensors.push_back(std::move(tensor));
  }
  if (next != data.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.size() - next, " bytes belong to no tensor"));
  }
  return view;
}

}  // namespace

int64_t ElementSize(ElementType type) { return Describe(type).size; }

const SafeTensor* SafeTensorsView::Find(absl::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const SafeTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

absl::StatusOr<SafeTensorsView> ParseSafeTensors(absl::string_view file,
                                                 absl::string_view name_for_errors) {
  absl::StatusOr<SafeTensorsView> view = Parse(file);
  if (!view.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", name_for_errors, "' is no sound safetensors file: ", view.status().message()));
  }
  return view;
}

absl::StatusOr<SafeTensorsFile> BuildSafeTensors(
    absl::Span<const SafeTensor> tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<const SafeTensor*> order;
  std::set<absl::string_view> names = {"__metadata__"};
  for (const SafeTensor& tensor : tensors) {
    uint64_t bytes = 0;
    if (std::any_of(tensor.shape.begin(), tensor.shape.end(), [](int64_t d) { return d < 0; }) ||
        !ByteSize(tensor.type, std::vector<uint64_t>(tensor.shape.begin(), tensor.shape.end()),
                  bytes) ||
        bytes != tensor.bytes.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", tensor.name, "' of shape [", absl::StrJoin(tensor.shape, ","),
                       "] does not have ", tensor.bytes.size(), " bytes"));
    }
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("a tensor cannot be called '", tensor.name, "': the name is taken"));
    }
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const SafeTensor* a, const SafeTensor* b) {
    return ElementSize(a->type) > ElementSize(b->type);
  });

  SafeTensorsFile file;
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  json["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const SafeTensor* tensor : order) {
    const uint64_t end = offset + tensor->bytes.size();
    json.push_back({tensor->name,
                    {{"dtype", std::string(Describe(tensor->type).name)},
                     {"shape", tensor->shape},
                     {"data_offsets", {offset, end}}}});
    file.pieces.push_back(tensor->bytes);
    offset = end;
  }
  try {
    file.header = std::string(kPrefix, '\0') + json.dump();
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("names or metadata: ", error.what()));
  }
  file.header.append(kDataAlignment - 1 - (file.header.size() - 1) % kDataAlignment, ' ');
  const uint64_t length = file.header.size() - kPrefix;
  if (length > kMaxHeader) {
    return absl::InvalidArgumentError(absl::StrCat(
        "names and metadata take ", length, " bytes; at most ", kMaxHeader, " fit a header"));
  }
  std::memcpy(file.header.data(), &length, kPrefix);
  return file;
}

void SealCrc32c(SafeTensorsFile& file) {
  uint32_t crc = Crc32c(file.header);
  for (const absl::string_view piece : file.pieces) {
    crc = Crc32c(piece, crc);
  }
  const size_t key = file.header.find(std::string(kCrcKey));
  const std::string digits = absl::StrCat(absl::Hex(crc, absl::kZeroPad8));
  file.header.replace(key + kCrcKey.size(), digits.size(), digits);
}

absl::Status VerifyCrc32c(absl::string_view file, absl::string_view name_for_errors) {
  uint64_t length = 0;
  if (file.size() >= kPrefix) {
    std::memcpy(&length, file.data(), kPrefix);
  }
  const absl::string_view head = file.substr(0, std::min(length, kMaxHeader) + kPrefix);
  const size_t key = head.find(kCrcKey);
  const absl::string_view digits =
      key == absl::string_view::npos ? "" : head.substr(key + kCrcKey.size(), kUnsealed.size());
  if (digits.size() != kUnsealed.size()) {
    return absl::DataLossError(
        absl::StrCat("'", name_for_errors,
                     "' is damaged, incomplete or none of Innerloop's files: it has no checksum"));
  }
  const absl::string_view rest = file.substr(key + kCrcKey.size() + kUnsealed.size());
  const uint32_t crc =
      Crc32c(rest, Crc32c(kUnsealed, Crc32c(file.substr(0, key + kCrcKey.size()))));
  const std::string actual = absl::StrCat(absl::Hex(crc, absl::kZeroPad8));
  if (actual != digits) {
    return absl::DataLossError(absl::StrCat("'", name_for_errors, "' is damaged: its CRC32C is ",
                                            actual, ", not as it was written"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SafeTensorsView> ParseSealed(absl::string_view file, absl::string_view format,
                                            absl::string_view name_for_errors) {
  absl::StatusOr<SafeTensorsView> view = ParseSafeTensors(file, name_for_errors);
  // A file of another kind parses; a damaged one of ours may or may not.
  if (view.ok() && view->metadata.count("crc32c") == 0 && view->metadata["format"] != format &&
      !absl::StartsWith(view->metadata["format"], "innerloop-")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", name_for_errors, "' is a safetensors file that another program wrote; one of ",
        "Innerloop's format ", format, " is expected"));
  }
  INNERLOOP_RETURN_IF_ERROR(VerifyCrc32c(file, name_for_errors));
  if (view.ok() && view->metadata["format"] != format) {
    return absl::InvalidArgumentError(absl::StrCat("'", name_for_errors, "' has the format '",
                                                   view->metadata["format"], "', not ", format));
  }
  return view;
}

}  // namespace innerloop
