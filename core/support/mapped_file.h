// Files mapped into memory.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace innerloop {

// A whole file as bytes, read-only. The file must not become shorter meanwhile: files of ours are
// replaced, never changed. Movable; thread-safe.
class MappedFile {
 public:
  // NOT_FOUND, INVALID_ARGUMENT when it is not a regular file, or the system's reason; names it.
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
