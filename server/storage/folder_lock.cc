#include "server/storage/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace innerloop::server {

absl::StatusOr<FolderLock> FolderLock::Take(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/lock");
  FolderLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (lock.descriptor_ < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", path, "'"));
  }
  if (flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock '", path, "'"));
    }
    char text[32];
    const ssize_t length = pread(lock.descriptor_, text, sizeof(text), 0);
    const std::string holder(
        absl::StripAsciiWhitespace(absl::string_view(text, length > 0 ? length : 0)));
    return absl::FailedPreconditionError(
        absl::StrCat("state folder '", folder, "' is in use by another coordinator (process ",
                     holder.empty() ? "unknown" : holder, ")"));
  }
  const std::string holder = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.descriptor_, 0) != 0 || pwrite(lock.descriptor_, holder.data(), holder.size(),
                                                    0) != static_cast<ssize_t>(holder.size())) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", path, "'"));
  }
  return lock;
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

}  // namespace innerloop::server
