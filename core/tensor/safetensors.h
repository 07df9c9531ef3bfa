// The safetensors file format (https://huggingface.co/docs/safetensors): 8 bytes little-endian
// header length, a JSON header, the data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/support/file_system.h"

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

// Checks everything before use: header length, JSON, types, shapes against byte ranges, ranges
// inside the file, without overlap. Data begins at a multiple of 64 bytes of the file in ours;
// others' need not. INVALID_ARGUMENT with what is wrong; `name_for_errors` is the file.
absl::StatusOr<SafeTensorsView> ParseSafeTensors(absl::string_view file,
                                                 absl::string_view name_for_errors);

// The header (length prefix included, padded so that data starts at a multiple of 64) for tensors
// that are written right after it in the given order, each tensor's bytes padded with zeros to a
// multiple of 64 -- except that padding between tensors is not allowed by the format, so tensors
// whose size is no multiple of 64 bytes go last or are followed by a filler tensor named
// "__padding_N" (U8), which readers of this project skip. Returns the header and the pieces of the
// data (borrowed from the tensors and from `header`'s owner).
struct SafeTensorsFile {
  std::string header;
  std::vector<absl::string_view> pieces;  // data after the header, fillers included
};
absl::StatusOr<SafeTensorsFile> BuildSafeTensors(
    absl::Span<const SafeTensor> tensors, const std::map<std::string, std::string>& metadata);

// The metadata key "crc32c" protects the whole file: CRC32C over every byte, its own eight hex
// digits counting as '0'. Seal fills the digits into a header that was built with the value
// "00000000"; Verify gives DATA_LOSS, naming the file, on a mismatch or when the field is missing.
void SealCrc32c(SafeTensorsFile& file);
absl::Status VerifyCrc32c(absl::string_view file, absl::string_view name_for_errors);

// A file mapped into memory, read-only. Movable. Thread-safe.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  absl::string_view bytes() const { return {data_, size_}; }

 private:
  MappedFile() = default;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace innerloop
