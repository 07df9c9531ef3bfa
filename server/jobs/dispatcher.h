// Gives the shards of all lanes to the workers, and takes what comes back.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "innerloop/v1/work.pb.h"
#include "server/jobs/fair_share.h"
#include "server/jobs/job_log.h"
#include "server/jobs/lane.h"
#include "server/workers/worker_registry.h"

namespace innerloop::server {

// Knows which worker has which work item; shares the workers among lanes by weight; sends job
// descriptions and parameters ahead of the items that need them, once to each worker; asks for
// large results when there is room for them. It only queues on links: TakeTouched says which are to
// be flushed. Used by the Coordinator under its lock. Thread-compatible.
class Dispatcher {
 public:
  Dispatcher(WorkerRegistry& registry, JobLog& log) : registry_(registry), log_(log) {}

  void AddLane(std::shared_ptr<Lane> lane);
  // Drops what workers have of it, and lets them forget its job when no other lane has the same
  // wire id.
  void RemoveLane(const Lane* lane);
  // Workers keep what they have of a job, though no lane may have its wire id, until LetGo.
  void Keep(const std::string& wire_id) { kept_.insert(wire_id); }
  void LetGo(const std::string& wire_id);
  // The lane gives up its present shards.
  void DropItems(const Lane* lane);

  // Gives pending shards to free slots, and asks for announced results that there is room for.
  void Dispatch(absl::Duration now);

  // Reports. Those about items that a worker does not have (any more) change nothing.
  // True when the result's buffer is about to follow.
  bool OnResult(Worker& worker, const v1::ResultBegin& result, absl::Duration now);
  bool WantsBuffer(Worker& worker, uint64_t work, uint64_t bytes);
  void OnBuffer(Worker& worker, uint64_t transfer, FlatBuffer buffer, absl::Duration now);
  void OnFailed(Worker& worker, const v1::WorkFailed& failed);
  void OnReturned(Worker& worker, uint64_t work);
  void OnDeclined(Worker& worker, const v1::JobDeclined& declined);
  // What a worker fetches: while a file grows, the items that need it only wait.
  void OnFetches(Worker& worker, const v1::Heartbeat& heartbeat, absl::Duration now);
  // The stream is gone, and `why`: what it had goes back. Then removes the worker.
  void OnGone(const std::string& worker_id, absl::string_view why, absl::Duration now);

  // Wants copies of slow shards, and parts with workers that hang; returns how many.
  int Tick(absl::Duration now);

  std::vector<std::shared_ptr<WorkerLink>> TakeTouched();
  void Send(Worker& worker, const v1::Instruction& instruction);

  // Why a lane gets nothing done; empty when it does, or has nothing to do.
  std::string WaitingFor(const Lane& lane) const;
  // "worker 'a' fetches data set 'digits', 30 % are there" while all that workers have of a lane
  // waits for files; else empty.
  std::string FetchingFor(const Lane& lane) const;

 private:
  struct LaneState {
    std::shared_ptr<Lane> lane;
    FairShare share;
    bool blocked = false;  // in this round of Dispatch
  };
  struct Assignment {
    std::shared_ptr<Lane> lane;
    size_t shard = 0;
    std::string worker;
    double charged = 0;
    // Its result began to come: the slot is free again.
    bool begun = false;
    bool pulled = false;
    bool buffer_started = false;
    v1::ResultBegin result;
  };

  static bool Suits(const Worker& worker, const Lane& lane);
  bool GiveTo(Worker& worker, LaneState& state, absl::Duration now);
  bool GiveOne(LaneState& state, absl::Duration now);
  void SendParameters(Worker& worker, KnownJob& known, const Lane& lane);
  // An entry for the log of the lane's job.
  static v1::LogEntry EntryOf(const Lane& lane, v1::LogSeverity severity);
  // The same about a shard that a worker had.
  v1::LogEntry EntryOf(const Assignment& item, v1::LogSeverity severity) const;
  // Tells each job what it had on a worker that is gone.
  void LogLoss(const Worker& worker, absl::string_view why);
  void Complete(uint64_t work, const v1::ResultBegin& result, FlatBuffer buffer,
                absl::Duration now);
  void Fail(uint64_t work, const absl::Status& error);
  void AfterVerdict(ShardBoard::Verdict verdict, const std::shared_ptr<Lane>& lane);
  // The worker's item, or null.
  Assignment* Find(const Worker& worker, uint64_t work);
  // Forgets an item; the board was told or is told after.
  Assignment Remove(uint64_t work);
  // Tells the worker to drop it, too.
  void Drop(uint64_t work);
  void PullNext(absl::Duration now);
  LaneState* StateOf(const Lane* lane);
  // Unless a lane has the wire id, or it is kept.
  void ReleaseIfUnused(const std::string& wire_id);

  WorkerRegistry& registry_;
  JobLog& log_;
  std::vector<std::unique_ptr<LaneState>> lanes_;
  absl::flat_hash_map<uint64_t, Assignment> items_;
  absl::flat_hash_set<std::string> kept_;
  uint64_t next_work_ = 1;
  // Account of the lane that was served last.
  double position_ = 0;
  // Announced results that wait for room, and the bytes of those that are on their way.
  std::deque<uint64_t> announced_;
  uint64_t pulled_bytes_ = 0;
  std::vector<std::shared_ptr<WorkerLink>> touched_;
};

}  // namespace innerloop::server
