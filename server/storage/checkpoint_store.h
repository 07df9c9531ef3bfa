// A job's checkpoints: files in STATE/jobs/ID/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/file_system.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// Thread-safe.
class CheckpointStore {
 public:
  CheckpointStore(std::string state_dir, const FileSystem& files);

  // Writes checkpoint-ITERATION.safetensors durably. `best` also makes it the best one, which
  // retention spares (and records durably which it is). Then removes all but the newest `keep`, the
  // best, and `pinned` iterations.
  absl::StatusOr<v1::CheckpointInfo> Write(Checkpoint& checkpoint, bool best, uint32_t keep);
  // Oldest first. Damaged files are left out and named in the log.
  absl::StatusOr<std::vector<v1::CheckpointInfo>> List(const std::string& job_id);
  // "ID", "ID@ITERATION", "ID@best". The newest that verifies: damaged ones are named in `*damaged`
  // (one line each) and passed over.
  absl::StatusOr<Checkpoint> Read(const std::string& reference, std::vector<std::string>* damaged);
  absl::StatusOr<std::string> PathOf(const std::string& reference);
  absl::Status DeleteJob(const std::string& job_id);

 private:
  std::string state_dir_;
  const FileSystem& files_;
};

}  // namespace innerloop::server
