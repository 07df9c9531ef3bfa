// Commands of those who run a coordinator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/session.h"
#include "innerloop/v1/log.pb.h"

namespace innerloop::client {

absl::Status ShowInfo(Session& session);

struct LogOptions {
  std::string job;
  bool follow = false;
  // Entries below are not shown.
  v1::LogSeverity severity = v1::LOG_SEVERITY_INFO;
};
// With --format=json a line for each entry.
absl::Status ShowLog(const LogOptions& options, Session& session);

// Two jobs or more.
absl::Status CompareJobs(const std::vector<std::string>& jobs, Session& session);

struct GarbageOptions {
  bool dry_run = false;
  std::optional<absl::Duration> jobs_older_than;
  bool checkpoints = false;
  bool data_sets = false;
};
// INVALID_ARGUMENT when nothing is asked for.
absl::Status CollectGarbage(const GarbageOptions& options, Session& session);

// The coordinator's state into a file. Ctrl-C ends it, and leaves nothing behind.
absl::Status Backup(const std::string& file, Session& session);
// A file's state into a new folder, for a coordinator's --state-dir. Ctrl-C ends it, too.
absl::Status Restore(const std::string& file, const std::string& state_dir, Session& session);

}  // namespace innerloop::client
