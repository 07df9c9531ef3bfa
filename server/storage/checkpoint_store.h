// A job's checkpoints: files in STATE/jobs/ID/.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/file_system.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// Called by the recorder's thread (writes), the coordinator (resuming, evaluating) and the service
// (lists, downloads). Thread-safe.
class CheckpointStore {
 public:
  CheckpointStore(std::string state_dir, const FileSystem& files);

  // Writes checkpoint-ITERATION.safetensors durably. `best` also makes it the best one, which
  // retention spares (and records durably which it is). Then removes all but the last, the `keep`
  // before it, and the best.
  absl::StatusOr<v1::CheckpointInfo> Write(Checkpoint& checkpoint, bool best, uint32_t keep);
  // Oldest first. Damaged files are left out and named in the log.
  absl::StatusOr<std::vector<v1::CheckpointInfo>> List(const std::string& job_id);
  // "ID" (the newest that verifies: damaged ones are named in `*damaged`, one line each, and passed
  // over), "ID@ITERATION", "ID@best". INVALID_ARGUMENT for another form, NOT_FOUND names what there
  // is, DATA_LOSS when the one that is meant is damaged. `damaged` may be null.
  absl::StatusOr<Checkpoint> Read(const std::string& reference, std::vector<std::string>* damaged);
  // "ID@ITERATION" of the one that Read would take; reads no file that it verified before.
  absl::StatusOr<std::string> Resolve(const std::string& reference);
  // The file that Read would take; reads none that it verified before.
  absl::StatusOr<std::string> PathOf(const std::string& reference);
  std::string PathOf(const std::string& job_id, uint64_t iteration) const;
  // Of all files; 0 without.
  uint64_t BytesOf(const std::string& job_id) const;
  // Fine when there is none.
  absl::Status Remove(const std::string& job_id, uint64_t iteration);

  // A job is deleted in two steps, so that whatever is killed between them can be finished, and so
  // that nothing goes that was not meant to: its folder is set aside, then removed.
  absl::Status SetAside(const std::string& job_id);
  // The job stays after all. Fine when it was not set aside.
  absl::Status PutBack(const std::string& job_id);
  // Removes what there is of the job, set aside or not.
  absl::Status DeleteJob(const std::string& job_id);
  // Jobs that have a folder, and those whose folder was set aside.
  std::vector<std::string> Jobs() const;
  std::vector<std::string> JobsSetAside() const;

 private:
  // What is known of a file that verified, as long as it stays as it was.
  struct Verified {
    int64_t bytes = 0;
    int64_t modified_nanos = 0;
    v1::CheckpointInfo info;
  };

  std::string Folder(absl::string_view job_id) const;
  // The folder's name while it is set aside.
  std::string AsideFolder(absl::string_view job_id) const;
  // Job ids of the folders whose names end in `suffix`.
  std::vector<std::string> FoldersEndingIn(absl::string_view suffix) const;
  void ForgetVerified(const std::string& job_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // Names of checkpoint files, oldest first.
  absl::StatusOr<std::vector<std::string>> Names(const std::string& job_id) const;
  // The best one's file name; empty without.
  std::string BestName(const std::string& job_id) const;
  absl::StatusOr<v1::CheckpointInfo> Examine(const std::string& path, bool best);
  void Remember(const std::string& path, const v1::CheckpointInfo& info);
  void Retain(const std::string& job_id, uint64_t written, uint32_t keep);

  const std::string state_dir_;
  const FileSystem& files_;

  absl::Mutex mutex_;
  std::map<std::string, Verified> verified_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace innerloop::server
