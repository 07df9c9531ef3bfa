// Backups of a coordinator's state folder: tar files of plain files whose last one, manifest.json,
// lists the others with their sizes and SHA-256. A file without it was cut off.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/archive/tar.h"

namespace innerloop {

// Writes a backup as a stream. One thread only.
class BackupWriter {
 public:
  explicit BackupWriter(TarSink sink);
  ~BackupWriter();

  // The file at `path`, which nobody changes meanwhile, as `name`.
  absl::Status Add(const std::string& name, const std::string& path);
  // The manifest.
  absl::Status Finish();

 private:
  TarWriter tar_;
  std::unique_ptr<nlohmann::json> files_;
};

struct Restored {
  uint64_t files = 0;
  uint64_t bytes = 0;
  // Of the program that made the backup, and when, as RFC 3339.
  std::string version;
  std::string created;
};

// Unpacks the backup `file` into `folder`, which must be empty or not be there, and verifies it:
// the files appear when all of them are right. What a restoring that was killed left in the folder
// goes. FAILED_PRECONDITION for a folder in use; INVALID_ARGUMENT for another kind of file or one
// that would write elsewhere; DATA_LOSS for one that was cut off or damaged. `progress` is called
// with the bytes that are through and those of the whole file, and ends it with a status that is
// not OK; it may be empty.
absl::StatusOr<Restored> RestoreBackup(
    const std::string& file, const std::string& folder,
    const std::function<absl::Status(uint64_t done, uint64_t total)>& progress);

}  // namespace innerloop
