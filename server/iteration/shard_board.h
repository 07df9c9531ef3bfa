// Which shards of one iteration are done, under way, or still to be given out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/iteration/pace.h"

namespace innerloop::server {

// The shards of an iteration, the parts of an evaluation, or a job's initialisation (one shard). A
// pure state machine: it is told what happened and when, and answers what follows. Used by the
// Dispatcher under the coordinator's lock. Thread-compatible.
class ShardBoard {
 public:
  // What a failure, a death or a timeout leads to.
  enum class Verdict {
    kStale,  // the work is not on the board (any more): nothing
    kRetry,  // the shard is done elsewhere, under way elsewhere, or given out again
    kFail,   // failure() says why the job fails
  };

  explicit ShardBoard(absl::Duration shard_timeout) : shard_timeout_(shard_timeout) {}
  void SetShardTimeout(absl::Duration shard_timeout) { shard_timeout_ = shard_timeout; }

  // Begins with `shards` pending ones. What is known of the pace stays.
  void Reset(size_t shards);
  // Nothing is to be done any more.
  void Clear() { Reset(0); }

  size_t size() const { return shards_.size(); }
  bool complete() const { return done_ == shards_.size(); }
  bool untouched() const { return done_ == 0 && copies_.empty(); }
  size_t in_flight() const { return copies_.size(); }
  // How often a shard is under way.
  int copies(size_t shard) const { return shards_[shard].copies; }
  bool HasPending() const { return !pending_.empty() || !wanted_copies_.empty(); }

  // The next shard for a worker: a pending one, else a slow one that another worker has. A shard
  // that failed on this worker is left to others while `others_can(workers that it failed on)` says
  // that there is one.
  std::optional<size_t> Pick(const std::string& worker,
                             absl::FunctionRef<bool(const std::set<std::string>&)> others_can);
  // A picked shard was given out as work item `work`.
  void Started(uint64_t work, size_t shard, const std::string& worker, absl::Duration now);

  // The work only waited until now: for its worker's files, which come, or for its result to be
  // asked for. Its time counts from now.
  void Waits(uint64_t work, absl::Duration now);
  // Its result begins to come, or is announced: the shard needs no copy.
  void Begun(uint64_t work, absl::Duration now);

  // A result arrived. True when it counts, false when the shard was done before. `drop` takes the
  // other work items of the shard.
  bool Finished(uint64_t work, absl::Duration now, std::vector<uint64_t>* drop);
  // The worker died or hung with it. The third time fails the job. `name` of the shard for the
  // message.
  Verdict Lost(uint64_t work, const std::string& name);
  // Given back unharmed.
  Verdict Returned(uint64_t work);
  // The worker answered with an error. The same from two workers, one that is the job's own fault,
  // or many fail the job.
  Verdict Failed(uint64_t work, const absl::Status& error, const std::string& name);
  const absl::Status& failure() const { return failure_; }

  // Wants a copy of each shard that takes much longer than others did.
  void MarkSlow(absl::Duration now);
  // Work items that took longer than a shard may.
  std::vector<uint64_t> TimedOut(absl::Duration now) const;
  std::vector<uint64_t> InFlight() const;

 private:
  struct Shard {
    bool done = false;
    bool copy_wanted = false;
    int copies = 0;
    int losses = 0;
    int errors = 0;
    std::set<std::string> failed_on;
    // By code and message: the workers that said so, and how often.
    std::map<std::pair<int, std::string>, std::pair<std::set<std::string>, int>> seen;
  };
  struct Copy {
    size_t shard = 0;
    std::string worker;
    absl::Duration started;
    // What the shard's own time counts from.
    absl::Duration ready;
    // How long it took until its result began to come.
    std::optional<absl::Duration> took;
  };

  std::optional<Copy> Remove(uint64_t work);
  // Pending again unless it is done or another copy is under way.
  void PutBack(size_t shard);
  // A copy that is wanted and not given out is not wanted any more.
  void Unwant(size_t shard);

  absl::Duration shard_timeout_;
  std::vector<Shard> shards_;
  size_t done_ = 0;
  std::deque<size_t> pending_;
  std::deque<size_t> wanted_copies_;
  absl::flat_hash_map<uint64_t, Copy> copies_;
  Pace pace_;
  absl::Status failure_;
};

}  // namespace innerloop::server
