// The table of what was said about jobs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "innerloop/v1/log.pb.h"
#include "server/storage/sqlite.h"

namespace innerloop::server {

// Most entries of a job that are kept.
inline constexpr int64_t kMostLogEntries = 1000;

// A part of the StateStore, which calls it under its lock. Entries go with their job.
// Thread-compatible.
class LogStore {
 public:
  // Of the table, as a step of the database's schema.
  static const char kSchema[];

  explicit LogStore(Database& database) : database_(database) {}

  // Inside a transaction of the caller's. Beyond kMostLogEntries of the job, INFO goes before
  // warnings and warnings before errors, of each the oldest first.
  absl::Status Append(const std::string& job_id, absl::Span<const v1::LogEntry> entries);
  // A job's entries with a greater sequence number, in order, at most `limit`.
  absl::StatusOr<std::vector<v1::LogEntry>> Read(const std::string& job_id, uint64_t after,
                                                 size_t limit);
  // The greatest that was ever stored, also of jobs that are gone.
  absl::StatusOr<uint64_t> LastSequence();

 private:
  Database& database_;
};

}  // namespace innerloop::server
