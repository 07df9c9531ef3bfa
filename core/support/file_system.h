// Files as an injected dependency, so that tests can fill disks and break writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace innerloop {

// What the program does with whole files. Errors name the path and the system's reason.
// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Makes `path` hold the pieces one after the other, durably: a temporary file in the same folder,
  // fsync, rename, fsync of the folder. On failure nothing half-done is left behind: `path` holds
  // what it held, or, when the folder's fsync alone failed, all of the new, which may not outlast a
  // power cut.
  virtual absl::Status Replace(const std::string& path,
                               absl::Span<const absl::string_view> pieces) const = 0;
  // NOT_FOUND when there is none; RESOURCE_EXHAUSTED when it is longer than `limit` bytes.
  virtual absl::StatusOr<std::string> Read(const std::string& path,
                                           uint64_t limit = UINT64_MAX) const = 0;
  // Fine when there is none.
  virtual absl::Status Remove(const std::string& path) const = 0;
  // Renames within a file system, replacing the target, and makes it durable.
  virtual absl::Status Rename(const std::string& from, const std::string& to) const = 0;
  // Makes a folder and its parents, durably; fine when it is there.
  virtual absl::Status MakeFolder(const std::string& path) const = 0;
  // Names (not paths) of a folder's entries, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) const = 0;

  // The machine's own; lives as long as the process.
  static const FileSystem& Real();
};

}  // namespace innerloop
