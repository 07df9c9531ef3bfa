#include "core/support/partial_file.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "core/support/write_all.h"

namespace innerloop {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " '", path, "'"));
}

}  // namespace

PartialFile::PartialFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

absl::StatusOr<PartialFile> PartialFile::Create(std::string path, mode_t mode) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot create '", path, "': there is a folder of that name"));
  }
  static std::atomic<uint64_t> counter{0};
  std::string temporary =
      absl::StrCat(path, ".", getpid(), "-", counter.fetch_add(1), kPartialSuffix);
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (descriptor < 0) {
    return Failed("create", path);
  }
  return PartialFile(std::move(path), std::move(temporary), descriptor);
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) {
    close(descriptor_);
    unlink(temporary_.c_str());
  }
}

absl::Status PartialFile::Write(absl::string_view data) {
  return WriteAll(descriptor_, path_, data);
}

absl::Status PartialFile::Commit() {
  if (fsync(descriptor_) != 0) {
    return Failed("sync", path_);
  }
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Rename(temporary_, path_));
  close(std::exchange(descriptor_, -1));
  return absl::OkStatus();
}

}  // namespace innerloop
