#include "server/storage/state_snapshot.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/archive/backup.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "server/storage/sqlite.h"

namespace innerloop::server {
namespace {

namespace fs = std::filesystem;

constexpr char kDatabase[] = "innerloop.db";

std::string SnapshotsOf(const std::string& state_dir) {
  return absl::StrCat(state_dir, "/snapshots");
}

// Files that a state consists of, uploads under way and temporary ones left out.
bool BelongsToState(const fs::path& file) {
  const std::string name = file.filename().string();
  return absl::EndsWith(name, ".safetensors") || absl::EndsWith(name, ".pt") || name == "best";
}

absl::Status LinkFolder(const std::string& from, const std::string& to) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(from, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_regular_file() || !BelongsToState(entry->path())) {
      continue;
    }
    const std::string target =
        absl::StrCat(to, "/", entry->path().lexically_relative(from).string());
    INNERLOOP_RETURN_IF_ERROR(
        FileSystem::Real().MakeFolder(fs::path(target).parent_path().string()));
    // Files of a job or data set that is being removed may go meanwhile.
    if (link(entry->path().c_str(), target.c_str()) != 0 && errno != ENOENT) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot link '", entry->path().string(), "'"));
    }
  }
  return error && error != std::errc::no_such_file_or_directory
             ? absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read '", from, "'"))
             : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateSnapshot>> StateSnapshot::Take(const std::string& state_dir) {
  const std::string snapshots = SnapshotsOf(state_dir);
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(snapshots));
  std::string folder = absl::StrCat(snapshots, "/XXXXXX");
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make a folder in '", snapshots, "'"));
  }
  std::unique_ptr<StateSnapshot> snapshot(new StateSnapshot(folder));
  // Over a connection of its own: reading holds up nobody.
  {
    INNERLOOP_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                               Database::Open(absl::StrCat(state_dir, "/", kDatabase)));
    Statement copy = database->Prepare("VACUUM INTO ?1");
    const std::string target = absl::StrCat(folder, "/", kDatabase);
    INNERLOOP_RETURN_IF_ERROR(copy.Bind(1, absl::string_view(target)).Run());
  }
  for (const char* part : {"jobs", "datasets", "models"}) {
    INNERLOOP_RETURN_IF_ERROR(
        LinkFolder(absl::StrCat(state_dir, "/", part), absl::StrCat(folder, "/", part)));
  }
  return snapshot;
}

StateSnapshot::~StateSnapshot() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

absl::Status StateSnapshot::Stream(TarSink sink) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file()) {
      names.push_back(entry->path().lexically_relative(folder_).string());
    }
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read '", folder_, "'"));
  }
  std::sort(names.begin(), names.end());
  BackupWriter backup(std::move(sink));
  for (const std::string& name : names) {
    INNERLOOP_RETURN_IF_ERROR(backup.Add(name, absl::StrCat(folder_, "/", name)));
  }
  return backup.Finish();
}

void StateSnapshot::RemoveAll(const std::string& state_dir) {
  std::error_code ignored;
  fs::remove_all(SnapshotsOf(state_dir), ignored);
}

}  // namespace innerloop::server
