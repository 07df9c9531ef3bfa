// The safetensors file format (https://huggingface.co/docs/safetensors): 8 bytes little-endian
// header length, a JSON header, the data. Files of ours carry a checksum in their metadata.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace innerloop {

// "uint8", "float32" and "int64" are "U8", "F32" and "I64" in the file.
enum class ElementType { kU8, kF32, kI64 };
int64_t ElementSize(ElementType type);

// A tensor in a file that is being read or written; `bytes` is borrowed.
struct SafeTensor {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  absl::string_view bytes;
};

// The parsed form of a file's bytes, which it borrows and which must outlive it.
struct SafeTensorsView {
  std::vector<SafeTensor> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
  // Null when there is none.
  const SafeTensor* Find(absl::string_view name) const;
};

// Checks everything before use: header length (at most 100 MB, as the format's reference has it),
// JSON, types, shapes against byte ranges, and that the ranges fill the file without gap or
// overlap. Others' tensors need not be aligned. INVALID_ARGUMENT with what is wrong;
// `name_for_errors` is the file.
absl::StatusOr<SafeTensorsView> ParseSafeTensors(absl::string_view file,
                                                 absl::string_view name_for_errors);

// A file to be written: the header (length prefix included, padded so that the data starts at a
// multiple of 64), then the tensors' bytes (borrowed).
struct SafeTensorsFile {
  std::string header;
  std::vector<absl::string_view> pieces;
};
// Orders the tensors by falling element size, otherwise as given, so that each starts at a multiple
// of its element size: the format allows no padding between them. INVALID_ARGUMENT for a shape that
// does not fit its bytes, names that are there twice, text that is not UTF-8.
absl::StatusOr<SafeTensorsFile> BuildSafeTensors(
    absl::Span<const SafeTensor> tensors, const std::map<std::string, std::string>& metadata);

// The metadata key "crc32c" protects the whole file: CRC32C over every byte, its own eight
// lower-case hex digits counting as '0'. Seal fills the digits into a header that was built with
// the value "00000000"; Verify gives DATA_LOSS, naming the file, on a mismatch or when the field is
// missing.
void SealCrc32c(SafeTensorsFile& file);
absl::Status VerifyCrc32c(absl::string_view file, absl::string_view name_for_errors);

// Verifies and parses a file of ours: one whose metadata key "format" is `format`. DATA_LOSS for a
// damaged file, INVALID_ARGUMENT for a sound safetensors file of another kind.
absl::StatusOr<SafeTensorsView> ParseSealed(absl::string_view file, absl::string_view format,
                                            absl::string_view name_for_errors);

}  // namespace innerloop
