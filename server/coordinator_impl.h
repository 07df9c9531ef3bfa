// The one Coordinator there is; its parts are in coordinator.cc (life), coordinator_jobs.cc,
// coordinator_ended.cc, coordinator_revisions.cc, coordinator_adaptations.cc (users),
// coordinator_upkeep.cc (operators), and coordinator_workers.cc (streams).
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/coordinator.h"
#include "server/jobs/dispatcher.h"
#include "server/jobs/errands.h"
#include "server/jobs/event_counter.h"
#include "server/jobs/garbage.h"
#include "server/jobs/job_log.h"
#include "server/jobs/job_runner.h"
#include "server/jobs/pinned_checkpoints.h"
#include "server/workers/worker_registry.h"

namespace innerloop::server {

// One lock over all state machines; each call holds it for microseconds. Float work of a job (sums,
// outer steps, copies) runs outside of it, in the thread whose report made it necessary, one thread
// per job at a time (JobRunner::HasFloatWork). That thread then gives out the next shards and
// writes to the streams itself, so that an iteration needs no wake-up inside the coordinator.
class CoordinatorImpl final : public Coordinator, private JobHost {
 public:
  CoordinatorImpl(Options options, const Dependencies& dependencies)
      : options_(std::move(options)), deps_(dependencies) {}
  ~CoordinatorImpl() override;
  // Takes up the stored jobs.
  absl::Status Load();

  absl::StatusOr<v1::Job> Submit(const v1::SubmitJobRequest& request) override;
  absl::StatusOr<v1::Job> Get(const std::string& id) override;
  void List(const JobPlace& after, const std::function<bool(v1::Job)>& take) override;
  absl::StatusOr<v1::Job> Cancel(const std::string& id) override;
  absl::StatusOr<v1::Job> Pause(const std::string& id) override;
  absl::StatusOr<v1::Job> Resume(const std::string& id) override;
  absl::StatusOr<v1::Job> Extend(const std::string& id, uint64_t iterations) override;
  absl::StatusOr<v1::Job> Revise(const std::string& id, const v1::JobSpec& spec) override;
  absl::Status Delete(const std::string& id) override;
  GiveUp Evaluate(const v1::EvaluateRequest& request,
                  std::function<void(absl::StatusOr<v1::Evaluation>)> done) override;
  absl::StatusOr<std::shared_ptr<const PinnedCheckpoint>> Pin(
      const std::string& checkpoint) override;
  GiveUp Adapt(std::shared_ptr<const PinnedCheckpoint> checkpoint, v1::AdaptationTask task,
               std::function<void(absl::StatusOr<Adapted>)> done) override;
  absl::StatusOr<v1::Job> Adopt(Checkpoint checkpoint) override;
  absl::StatusOr<v1::CollectGarbageResponse> CollectGarbage(
      const v1::CollectGarbageRequest& request) override;
  absl::Status HoldStill(std::function<absl::Status()> work) override;
  uint64_t AwaitEvents(const std::string& id, uint64_t seen, absl::Duration timeout) override;
  std::vector<v1::WorkerInfo> Workers() override;
  std::vector<DataSetUse> UsesOf(const std::string& data_set_sha256) override;

  absl::StatusOr<std::string> Connect(const v1::Hello& hello,
                                      std::shared_ptr<WorkerLink> link) override;
  void Disconnect(const std::string& worker_id) override;
  void OnAlive(const std::string& worker_id) override;
  void OnReport(const std::string& worker_id, const v1::Report& report) override;
  void OnBuffer(const std::string& worker_id, uint64_t transfer, FlatBuffer buffer) override;
  bool WantsBuffer(const std::string& worker_id, uint64_t work_id, uint64_t bytes) override;

  void Tick() override;
  void Stop(absl::Duration patience) override;

 private:
  struct Entry {
    // Of a job that ended.
    v1::Job row;
    // Of one that has not.
    std::shared_ptr<JobRunner> runner;
    // When its series go.
    std::optional<absl::Duration> metrics_until;
  };
  // An evaluation or an adaptation that a user waits for.
  template <typename Run>
  struct Requested {
    std::shared_ptr<Run> run;
    std::optional<absl::Duration> stuck_since;
  };

  // JobHost. The annotations say what its comment says.
  void AddEvaluation(std::shared_ptr<EvaluationRun> run) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RemoveEvaluation(EvaluationRun& run) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropItems(JobRunner& job) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WriteCheckpoint(JobRunner& job, Checkpoint checkpoint, bool best) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void End(JobRunner& job, v1::Job row) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Changed(JobRunner& job) override;

  // Does what became possible: float work, giving out shards, writing to streams, calling back.
  // Lets go of the lock for the parts that take time; holds it again when it returns.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The same in the thread that reads a worker's stream: as long as it takes, the worker cannot be
  // heard, and does not count as silent.
  void PumpFor(const std::string& worker_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool DoFloatWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // NOT_FOUND for an unknown id.
  absl::StatusOr<Entry*> Find(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  v1::Job RowOf(const Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Why the job makes no progress; empty when it does, or is not to.
  std::string WaitingFor(const JobRunner& runner) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::shared_ptr<JobRunner> MakeRunner(v1::Job row,
                                        std::optional<v1::DataSetDescription> data_set);
  // A job that is begun while the coordinator stops goes on after the restart.
  void Begin(std::shared_ptr<JobRunner> runner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Retire(const std::string& id, v1::Job row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status LoadJob(v1::Job row);
  // Removes an ended job, or leaves it as it was.
  absl::Status DeleteEnded(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(submit_mu_);
  // FAILED_PRECONDITION while somebody needs the job or its checkpoints.
  absl::Status CheckDeletable(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Sets the job's checkpoints aside and removes its row, or neither.
  absl::Status DeleteStored(const std::string& id);
  // Of a coordinator that was killed: deletions that it had begun,
  absl::Status FinishDeletions();
  // and jobs that have checkpoints and no row, because an upload was cut off or the database lost.
  void AdoptStrays();
  // Name, labels and note, of a job in any state.
  absl::StatusOr<v1::Job> ReviseWords(const v1::JobSpec& spec, v1::Job job)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(submit_mu_);
  // What garbage collection has to spare, and what it may look at.
  Garbage::Jobs JobsOfGarbage() ABSL_LOCKS_EXCLUDED(mu_);
  // From time to time, under --job-retention.
  void CollectOldJobs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnHeartbeat(Worker& worker, const v1::Heartbeat& heartbeat)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Something that a worker has to say to a job's people.
  void OnNotice(const Worker& worker, const v1::JobNotice& notice)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes those of these users' models that no job uses.
  absl::Status RemoveUnusedModels(const std::vector<std::string>& sha256s) ABSL_LOCKS_EXCLUDED(mu_);
  // Applies a user's wish to a job that has not ended, and makes it durable. FAILED_PRECONDITION
  // for one that has.
  absl::StatusOr<v1::Job> Change(const std::string& id,
                                 const std::function<absl::Status(JobRunner&)>& change,
                                 JobEvent event);
  // Brings the job to a resolved spec that it may have.
  absl::StatusOr<v1::Job> ReviseTo(const std::string& id, v1::JobSpec spec);
  // Of one that SUCCEEDED.
  absl::StatusOr<v1::Job> ReviseDone(v1::JobSpec spec, v1::Job row);
  absl::StatusOr<std::shared_ptr<EvaluationRun>> PrepareEvaluation(
      const v1::EvaluateRequest& request, std::function<void(absl::StatusOr<v1::Evaluation>)> done);
  // Whether one more job may begin.
  absl::Status CheckRoomForJob() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether one more may be asked for, `under_way` of them having not ended.
  absl::Status CheckRoom(size_t under_way, size_t most, absl::string_view what) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <typename Run>
  GiveUp GiveUpOf(std::weak_ptr<Run> weak) {
    return [this, weak = std::move(weak)] {
      absl::MutexLock lock(&mu_);
      if (const std::shared_ptr<Run> run = weak.lock(); run != nullptr) {
        run->Abort(absl::CancelledError("the caller went away"));
        Pump();
      }
    };
  }
  void ShowMetrics() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends those that found no worker for too long.
  template <typename Run>
  void CheckRequested(std::vector<Requested<Run>>& requested) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  template <typename Run>
  static void Forget(const Run& run, std::vector<Requested<Run>>& requested) {
    requested.erase(
        std::find_if(requested.begin(), requested.end(),
                     [&](const Requested<Run>& other) { return other.run.get() == &run; }));
  }
  // Workers may forget checkpoints that no adaptation used lately.
  void LetGoOfPins() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration Now() const { return deps_.clock.Monotonic(); }

  const Options options_;
  const Dependencies deps_;
  EventCounter events_;
  JobLog log_{deps_.recorder, events_, deps_.clock};

  // Held over a submission's disk writes, so that two of one request_id make one job. Before mu_.
  absl::Mutex submit_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  absl::Mutex mu_;
  WorkerRegistry registry_ ABSL_GUARDED_BY(mu_);
  Dispatcher dispatcher_ ABSL_GUARDED_BY(mu_){registry_, log_};
  std::map<std::string, Entry> jobs_ ABSL_GUARDED_BY(mu_);
  // The runners of jobs_.
  std::vector<std::shared_ptr<JobRunner>> running_ ABSL_GUARDED_BY(mu_);
  std::vector<Requested<EvaluationRun>> requested_ ABSL_GUARDED_BY(mu_);
  // Evaluations to be requested_ once their checkpoints are read.
  size_t preparing_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Requested<AdaptationRun>> adaptations_ ABSL_GUARDED_BY(mu_);
  PinnedCheckpoints pinned_ ABSL_GUARDED_BY(mu_);
  // Users' callbacks that wait for the lock to be let go of.
  std::vector<std::function<void()>> callbacks_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> shown_at_ ABSL_GUARDED_BY(mu_);
  // When jobs under --job-retention are looked for next.
  absl::Duration collect_at_ ABSL_GUARDED_BY(mu_);
  int checkpoints_under_way_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Nothing is done any more.
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  // Its thread uses all of the above.
  Errands errands_;
};

}  // namespace innerloop::server
