// The coordinator's durable tables: jobs, histories, evaluations, logs, data sets. SQLite in WAL
// mode, `innerloop.db` in the state folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/log.pb.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// Every write is durable when it returns. Thread-safe.
class StateStore {
 public:
  // Makes the folder and the tables, brings older tables up to date, and locks the folder for this
  // process: FAILED_PRECONDITION ("state folder 'D' is in use by another coordinator (process
  // 123)") when another one has it. Then removes what one that was killed left half-done. DATA_LOSS
  // when the database is damaged.
  static absl::StatusOr<std::unique_ptr<StateStore>> Open(const std::string& state_dir);
  virtual ~StateStore() = default;

  // ALREADY_EXISTS when the request_id (if not empty) was used.
  virtual absl::Status InsertJob(const v1::Job& job, const std::string& request_id) = 0;
  virtual absl::StatusOr<std::optional<std::string>> JobOfRequest(
      const std::string& request_id) = 0;
  virtual absl::Status UpdateJob(const v1::Job& job) = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<v1::Job>> Jobs() = 0;
  // With its history, evaluations and log.
  virtual absl::Status DeleteJob(const std::string& id) = 0;

  // In one transaction. Writing an iteration again replaces it.
  virtual absl::Status AppendHistory(const std::string& job_id,
                                     absl::Span<const v1::IterationRecord> iterations,
                                     absl::Span<const v1::Evaluation> evaluations) = 0;
  // Records with iteration >= from, in order, at most `limit`.
  virtual absl::StatusOr<std::vector<v1::IterationRecord>> History(const std::string& job_id,
                                                                   uint64_t from, size_t limit) = 0;
  // The iteration after the last one that is told of; 0 without any.
  virtual absl::StatusOr<uint64_t> HistoryEnd(const std::string& job_id) = 0;
  virtual absl::StatusOr<std::vector<v1::Evaluation>> Evaluations(const std::string& job_id,
                                                                  uint64_t from) = 0;
  // Forgets what a resumed job will do again: records with iteration >= from, scheduled evaluations
  // of versions > from.
  virtual absl::Status TruncateHistory(const std::string& job_id, uint64_t from) = 0;

  // A job's log: see LogStore. In one transaction.
  virtual absl::Status AppendLog(const std::string& job_id,
                                 absl::Span<const v1::LogEntry> entries) = 0;
  virtual absl::StatusOr<std::vector<v1::LogEntry>> Log(const std::string& job_id, uint64_t after,
                                                        size_t limit) = 0;
  virtual absl::StatusOr<uint64_t> LastLogSequence() = 0;

  // One name stands for one hash at a time; adding another hash under a name replaces what the name
  // stands for.
  virtual absl::Status PutDataSet(const v1::DataSetDescription& data_set) = 0;
  virtual absl::StatusOr<std::vector<v1::DataSetDescription>> DataSets() = 0;
  virtual absl::Status DeleteDataSet(const std::string& name) = 0;
};

}  // namespace innerloop::server
