// The coordinator without its transport: what the gRPC services call.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/support/clock.h"
#include "innerloop/v1/training.pb.h"
#include "innerloop/v1/upkeep.pb.h"
#include "innerloop/v1/work.pb.h"
#include "server/jobs/adaptation_run.h"
#include "server/metrics/metrics.h"
#include "server/options.h"
#include "server/storage/checkpoint_store.h"
#include "server/storage/data_set_store.h"
#include "server/storage/recorder.h"
#include "server/storage/state_store.h"
#include "server/workers/worker_link.h"

namespace innerloop::server {

// Where a job stands among all jobs: they are listed in the order of their submission.
struct JobPlace {
  int64_t submitted_nanos = 0;
  std::string id;
  auto operator<=>(const JobPlace&) const = default;
};
JobPlace PlaceOf(const v1::Job& job);

// Jobs, workers, and the iterations that run between them. Thread-safe; callbacks are called
// without locks held.
class Coordinator {
 public:
  struct Dependencies {
    StateStore& state;
    CheckpointStore& checkpoints;
    DataSetStore& data_sets;
    Recorder& recorder;
    Metrics& metrics;
    const Clock& clock;
  };
  // Loads all jobs; those that had not ended go on from their last good checkpoint.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Create(const Options& options,
                                                             const Dependencies& dependencies);
  virtual ~Coordinator() = default;

  // ---- for users

  virtual absl::StatusOr<v1::Job> Submit(const v1::SubmitJobRequest& request) = 0;
  virtual absl::StatusOr<v1::Job> Get(const std::string& id) = 0;
  // Gives `take` the jobs behind a place, in order, until there are no more or it returns false.
  virtual void List(const JobPlace& after, const std::function<bool(v1::Job)>& take) = 0;
  virtual absl::StatusOr<v1::Job> Cancel(const std::string& id) = 0;
  virtual absl::StatusOr<v1::Job> Pause(const std::string& id) = 0;
  virtual absl::StatusOr<v1::Job> Resume(const std::string& id) = 0;
  virtual absl::StatusOr<v1::Job> Extend(const std::string& id, uint64_t iterations) = 0;
  virtual absl::StatusOr<v1::Job> Revise(const std::string& id, const v1::JobSpec& spec) = 0;
  virtual absl::Status Delete(const std::string& id) = 0;
  // Gives up what somebody waited for, unless it has ended: its `done` is called with CANCELLED.
  using GiveUp = std::function<void()>;
  // `done` is called once, when the evaluation ended, failed, was given up, or the coordinator
  // stops; RESOURCE_EXHAUSTED when there are too many already.
  virtual GiveUp Evaluate(const v1::EvaluateRequest& request,
                          std::function<void(absl::StatusOr<v1::Evaluation>)> done) = 0;
  // What a reference ("JOB", "JOB@ITERATION", "JOB@best") means now, loaded; it stays so, and on
  // the workers that had it, for a minute after its last use. Blocks on files. NOT_FOUND,
  // DATA_LOSS.
  virtual absl::StatusOr<std::shared_ptr<const PinnedCheckpoint>> Pin(
      const std::string& checkpoint) = 0;
  // Has a worker adapt to a task that was checked. `done` is called once, as Evaluate has it, or
  // when no worker was found for a minute (UNAVAILABLE).
  virtual GiveUp Adapt(std::shared_ptr<const PinnedCheckpoint> checkpoint, v1::AdaptationTask task,
                       std::function<void(absl::StatusOr<Adapted>)> done) = 0;
  // Makes an ended job of a checkpoint that is stored under checkpoint.metadata.job_id (a fresh
  // id); its job is resolved.
  virtual absl::StatusOr<v1::Job> Adopt(Checkpoint checkpoint) = 0;
  // Removes what nobody needs any more, or says what it would. Blocks on files. INVALID_ARGUMENT
  // for a negative age.
  virtual absl::StatusOr<v1::CollectGarbageResponse> CollectGarbage(
      const v1::CollectGarbageRequest& request) = 0;
  // Does `work` while what is stored stands still: jobs compute, but none begins, goes, or writes.
  virtual absl::Status HoldStill(std::function<absl::Status()> work) = 0;
  // A number that grows with every event of the job, for watches: waits until it exceeds `seen`,
  // the job ended, or the timeout.
  virtual uint64_t AwaitEvents(const std::string& id, uint64_t seen, absl::Duration timeout) = 0;
  virtual std::vector<v1::WorkerInfo> Workers() = 0;
  // Jobs whose tasks come from the data set. One with an evaluation under way has not ended.
  struct DataSetUse {
    std::string job;
    bool ended = false;
  };
  virtual std::vector<DataSetUse> UsesOf(const std::string& data_set_sha256) = 0;

  // ---- for worker streams

  // A stream's Hello arrived; it is answered with Welcome. FAILED_PRECONDITION for another protocol
  // version, INVALID_ARGUMENT for impossible values. Returns the worker's id. Calls on a link whose
  // stream has ended must do nothing: the coordinator may be in the middle of one.
  virtual absl::StatusOr<std::string> Connect(const v1::Hello& hello,
                                              std::shared_ptr<WorkerLink> link) = 0;
  virtual void Disconnect(const std::string& worker_id) = 0;
  // Something was received: the worker lives. Reports count, too; this is for long transfers.
  virtual void OnAlive(const std::string& worker_id) = 0;
  // Reports other than Hello and frames.
  virtual void OnReport(const std::string& worker_id, const v1::Report& report) = 0;
  // The flat buffer of a result is there; frames were put together and verified by the stream.
  virtual void OnBuffer(const std::string& worker_id, uint64_t transfer, FlatBuffer buffer) = 0;
  // Whether a result's buffer of `bytes` is wanted from this worker's work item, before memory is
  // taken for it.
  virtual bool WantsBuffer(const std::string& worker_id, uint64_t work_id, uint64_t bytes) = 0;

  // Time passes: deadlines, lost workers, slow shards, retention. Called some ten times a second by
  // main's timer thread.
  virtual void Tick() = 0;
  // Finishes the iterations under way, checkpoints every running job, tells the workers goodbye;
  // afterwards nothing iterates. What `patience` does not suffice for is given up, and its
  // checkpoint gets some seconds more.
  virtual void Stop(absl::Duration patience) = 0;
};

}  // namespace innerloop::server
