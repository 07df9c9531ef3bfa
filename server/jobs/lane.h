// Something that has work for workers: a job's training, or an evaluation.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "core/tensor/parameter_set.h"
#include "innerloop/v1/log.pb.h"
#include "innerloop/v1/work.pb.h"
#include "server/iteration/shard_board.h"
#include "server/jobs/outer_loop.h"

namespace innerloop::server {

// What the Dispatcher sees of a JobRunner or an EvaluationRun. All calls come under the
// coordinator's lock. Thread-compatible.
class Lane {
 public:
  explicit Lane(absl::Duration shard_timeout) : board_(shard_timeout) {}
  virtual ~Lane() = default;

  ShardBoard& board() { return board_; }
  const ShardBoard& board() const { return board_; }

  // Sent to a worker before its first item; its job_id names the lane on the wire.
  virtual const v1::JobDescription& description() const = 0;
  // Canonical fingerprint of the workers that may be used; empty: any.
  virtual const std::string& fingerprint() const = 0;
  // Share of the workers relative to other lanes.
  virtual double weight() const = 0;
  // The version that the present shards are computed at; null when they need none.
  virtual const Parameters* parameters() const = 0;

  // Fills in everything of a work item but its id.
  virtual void FillItem(size_t shard, v1::WorkItem& item) const = 0;
  // Tasks or episodes of a shard, for metrics.
  virtual uint64_t Tasks(size_t shard) const = 0;
  // For messages: "shard 3 of iteration 12 (tasks 26..38)".
  virtual std::string Name(size_t shard) const = 0;

  // Fills in what a log entry says of a shard: its iteration and tasks, where it has any.
  virtual void Describe(size_t shard, v1::LogEntry& entry) const {
    static_cast<void>(shard);
    static_cast<void>(entry);
  }

  // Whether a result, its buffer not counted, is what was asked for. Anything else counts as an
  // error of the worker.
  virtual absl::Status Check(size_t shard, const v1::ResultBegin& result) const = 0;
  // The first result of a shard. `buffer` is empty when there is none.
  virtual void OnResult(size_t shard, const v1::ResultBegin& result, const std::string& fingerprint,
                        FlatBuffer buffer) = 0;
  // The board gave up.
  virtual void OnFailure(const absl::Status& status) = 0;

  virtual void OnInFlight(int change) { static_cast<void>(change); }
  virtual void OnReissued() {}
  virtual void OnTasks(const char* outcome, uint64_t tasks) {
    static_cast<void>(outcome);
    static_cast<void>(tasks);
  }

 private:
  ShardBoard board_;
};

}  // namespace innerloop::server
