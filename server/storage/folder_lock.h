#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace innerloop::server {

// Keeps a folder for one process, by an flock on its file "lock", which the system gives back
// however the process ends. Held by the state store. Movable; thread-compatible.
class FolderLock {
 public:
  // FAILED_PRECONDITION names the process that has it.
  static absl::StatusOr<FolderLock> Take(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace innerloop::server
