// A folder of files that are known by their SHA-256 and arrive in pieces: SHA256.EXTENSION, uploads
// under way in SHA256.part.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "innerloop/v1/tensor.pb.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// Used by DataSetStore, and by the services for users' models. Thread-safe.
class UploadFolder {
 public:
  // `quota`: most bytes of all files together, unfinished uploads included. `kind` is what people
  // call a file, e.g. "data set". `extension` begins with a dot.
  UploadFolder(std::string folder, std::string extension, std::string kind, uint64_t quota);

  // Where the upload goes on, or that it is complete. RESOURCE_EXHAUSTED beyond the quota;
  // INVALID_ARGUMENT for a bad hash or size.
  absl::StatusOr<v1::BeginUploadResponse> Begin(const v1::StoredFile& file);
  // OUT_OF_RANGE when offset is not where the upload stands.
  absl::Status Append(const v1::StoredFile& file, uint64_t offset, absl::string_view data);
  // Checks length, SHA-256 and, by `check`, the content of the file at a path, and makes it
  // visible. DATA_LOSS (another hash) and what `check` finds remove what was received;
  // FAILED_PRECONDITION when bytes are missing.
  absl::Status Finish(const v1::StoredFile& file,
                      const std::function<absl::Status(const std::string& path)>& check);

  std::string PathOf(absl::string_view sha256) const;
  // nullopt when there is no such file.
  std::optional<v1::StoredFile> Find(absl::string_view sha256) const;
  // Hashes of all files, without unfinished uploads.
  absl::StatusOr<std::vector<std::string>> List() const;
  absl::Status Remove(absl::string_view sha256);

  struct Entry {
    std::string sha256;
    uint64_t bytes = 0;
    // When it was added, or asked for again by somebody who would have sent it.
    absl::Time modified;
    // An upload that is under way, or was broken off.
    bool unfinished = false;
  };
  absl::StatusOr<std::vector<Entry>> Entries() const;
  // Forgets an upload. ABORTED while it is being checked.
  absl::Status RemoveUnfinished(absl::string_view sha256);

 private:
  std::string PartOf(absl::string_view sha256) const;
  // Bytes of all files in the folder, which it makes.
  absl::StatusOr<uint64_t> Used() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoom(uint64_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;
  const std::string extension_;
  const std::string kind_;
  const uint64_t quota_;

  absl::Mutex mutex_;
  // Counted once, then kept up to date.
  std::optional<uint64_t> used_ ABSL_GUARDED_BY(mutex_);
  // Hashes that are being checked: nothing may be added to them.
  std::set<std::string> checking_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace innerloop::server
