#include "client/local/state_copy.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

namespace fs = std::filesystem;

constexpr char kDatabase[] = "innerloop.db";
// What SQLite has not moved into it yet; a process that was killed leaves it.
constexpr char kDatabaseLog[] = "innerloop.db-wal";

absl::Status Copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, error);
  return error ? absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", from.string()))
               : absl::OkStatus();
}

}  // namespace

absl::Status CopyState(const std::string& from, const std::string& to) {
  const fs::path folder(from);
  std::error_code error;
  const bool there = fs::exists(folder / kDatabase, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot look into ", from));
  }
  if (!there) {
    return absl::InvalidArgumentError(
        absl::StrCat(from, " is no state folder: there is no ", kDatabase, " in it"));
  }
  // Coordinators lock this file. Without one no coordinator has been here.
  const int lock = ::open((folder / "lock").c_str(), O_RDONLY | O_CLOEXEC);
  const absl::Cleanup close_lock = [lock] {
    if (lock >= 0) {
      ::close(lock);
    }
  };
  if (lock >= 0 && ::flock(lock, LOCK_SH | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(from,
                     " is in use by a coordinator, or by `innerloop train`: ask that one, "
                     "with --coordinator HOST:PORT, or wait for its end"));
  }
  INNERLOOP_RETURN_IF_ERROR(Copy(folder / kDatabase, fs::path(to) / kDatabase));
  return fs::exists(folder / kDatabaseLog, error)
             ? Copy(folder / kDatabaseLog, fs::path(to) / kDatabaseLog)
             : absl::OkStatus();
}

}  // namespace innerloop::client
