// Writes beside the training: a thread of its own takes histories, logs, job states and
// checkpoints, so that iterations never wait for a disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/clock.h"
#include "innerloop/v1/training.pb.h"
#include "server/storage/checkpoint_store.h"
#include "server/storage/state_store.h"
#include "server/tensorboard/job_board.h"

namespace innerloop::server {

// Thread-safe. The order of calls for one job is the order of what becomes durable.
class Recorder {
 public:
  // `boards`, where there are any, are told what became durable; the thread alone uses them.
  Recorder(StateStore& state, CheckpointStore& checkpoints, const Clock& clock,
           JobBoards* boards = nullptr);
  // Writes what is queued, then ends the thread.
  ~Recorder();

  // Queued, written once a second and before each checkpoint or Flush.
  void AddIteration(const std::string& job_id, v1::IterationRecord record);
  void AddEvaluation(const std::string& job_id, v1::Evaluation evaluation);
  // Gives the entry its sequence number.
  void AddLog(v1::LogEntry entry);
  // Replaces the job's stored row at the next write.
  void UpdateJob(v1::Job job);

  // Queues a checkpoint: history up to it is committed first, then the file is written; then `done`
  // is called on the recorder's thread, without locks held. Only one is queued for a job at a time:
  // the caller waits for `done` before the next.
  using CheckpointDone = std::function<void(absl::StatusOr<v1::CheckpointInfo>)>;
  void WriteCheckpoint(Checkpoint checkpoint, bool best, uint32_t keep, CheckpointDone done);

  // Does `work` on the recorder's thread, when everything queued before the call is durable;
  // nothing of the recorder's is written meanwhile. Returns its status, or what could not be
  // written.
  absl::Status Pause(std::function<absl::Status()> work);

  // Returns when everything queued before the call is durable, with the first error. That a
  // checkpoint could not be written is its `done`'s to know, and no error here.
  absl::Status Flush();
  // The same, with the first error of this job alone.
  absl::Status Flush(const std::string& job_id);

  // Forgets what is queued for a job (before it is deleted).
  void Forget(const std::string& job_id);

  // Records queued but not yet in the store, in order, with iteration >= from. A watch asks for
  // these first and then the store, so that it misses none.
  std::vector<v1::IterationRecord> Pending(const std::string& job_id, uint64_t from);
  // The same for evaluations.
  std::vector<v1::Evaluation> PendingEvaluations(const std::string& job_id);
  // The same for log entries with a greater sequence number.
  std::vector<v1::LogEntry> PendingLog(const std::string& job_id, uint64_t after);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace innerloop::server
