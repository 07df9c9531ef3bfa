#include "client/local/temporary_folder.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace innerloop::client {
namespace {

constexpr char kPrefix[] = "innerloop-run-";

// The folder itself is what is locked: it needs no further file. -1 when it is another's.
int Lock(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

void RemoveLeftovers(const std::string& parent) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!absl::StartsWith(entry->path().filename().string(), kPrefix)) {
      continue;
    }
    std::error_code gone;  // others clean up, too
    // A minute's grace: a folder just made is not locked yet.
    const auto age = std::filesystem::file_time_type::clock::now() - entry->last_write_time(gone);
    if (gone || age < std::chrono::minutes(1)) {
      continue;
    }
    if (const int lock = Lock(entry->path().string()); lock >= 0) {
      std::filesystem::remove_all(entry->path(), gone);
      ::close(lock);
    }
  }
}

}  // namespace

absl::StatusOr<TemporaryFolder> TemporaryFolder::Create() {
  std::error_code error;
  const std::string parent = std::filesystem::temp_directory_path(error).string();
  RemoveLeftovers(parent);
  std::string path = absl::StrCat(parent, "/", kPrefix, "XXXXXX");
  if (error || ::mkdtemp(path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make a folder in ", parent));
  }
  const int lock = Lock(path);
  return TemporaryFolder(std::move(path), lock);
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, "")), lock_(std::exchange(other.lock_, -1)) {}

TemporaryFolder::~TemporaryFolder() {
  if (!path_.empty()) {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  if (lock_ >= 0) {
    ::close(lock_);
  }
}

}  // namespace innerloop::client
