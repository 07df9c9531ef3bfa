// One job that has not ended.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/training.pb.h"
#include "server/jobs/checkpoint_plan.h"
#include "server/jobs/evaluation_run.h"
#include "server/jobs/float_work.h"
#include "server/jobs/job_log.h"
#include "server/jobs/job_machine.h"
#include "server/jobs/lane.h"
#include "server/metrics/metrics.h"
#include "server/outer/numerics.h"
#include "server/storage/recorder.h"

namespace innerloop::server {

class JobRunner;

// What a JobRunner needs done elsewhere: its Coordinator. Called under the coordinator's lock.
class JobHost {
 public:
  virtual ~JobHost() = default;
  virtual void AddEvaluation(std::shared_ptr<EvaluationRun> run) = 0;
  virtual void RemoveEvaluation(EvaluationRun& run) = 0;
  // Workers forget what they have of the job's present shards.
  virtual void DropItems(JobRunner& job) = 0;
  // Answered by JobRunner::OnCheckpointWritten.
  virtual void WriteCheckpoint(JobRunner& job, Checkpoint checkpoint, bool best) = 0;
  // The job ends with this row: it is stored, then JobRunner::Ended is called.
  virtual void End(JobRunner& job, v1::Job row) = 0;
  // A watch should look again, at once.
  virtual void Changed(JobRunner& job) = 0;
};

// Runs a job from its initialisation to its end: iterations, schedule, evaluations, checkpoints,
// limits. As a Lane it gives out the initialisation, then each iteration's shards. Everything is
// called under the coordinator's lock, except that the coordinator runs the FloatWork it asks for
// outside of it, one at a time. Thread-compatible.
class JobRunner : public Lane {
 public:
  struct Environment {
    Recorder& recorder;
    const Clock& clock;
    JobHost& host;
    JobLog& log;
    std::shared_ptr<JobMetrics> metrics;
    uint64_t max_parameters;
  };
  // What is known of a job that goes on from a checkpoint.
  struct Past {
    Checkpoint checkpoint;
    // Evaluations of the checkpoint's version that were done.
    bool evaluated = false;
    std::optional<v1::Evaluation> final;
    // Of the best checkpoint so far.
    std::optional<double> best;
    uint32_t skipped_in_a_row = 0;
  };

  JobRunner(v1::Job row, std::optional<v1::DataSetDescription> data_set, Environment environment);

  // Exactly one of the two, once. A fresh job, perhaps with another's parameters.
  void Start(std::optional<Checkpoint> init_from);
  void Restore(Past past);

  const std::string& id() const { return job_.id(); }
  const v1::JobSpec& spec() const { return job_.spec(); }
  const google::protobuf::Timestamp& submitted() const { return job_.submitted(); }
  v1::JobState state() const { return machine_.state(); }
  bool ended() const { return machine_.ended(); }
  const std::optional<v1::DataSetDescription>& data_set() const { return data_set_; }
  const std::vector<std::shared_ptr<EvaluationRun>>& evaluations() const { return runs_; }
  // As users see it, without waiting_for.
  v1::Job Row() const;

  // Users' wishes; FAILED_PRECONDITION as JobMachine has it, and while the job ends.
  absl::Status Pause();
  absl::Status Resume();
  // To a resolved spec that ReviseJob allows.
  absl::Status Revise(const v1::JobSpec& spec);
  // To one that differs in name, labels and note alone; FAILED_PRECONDITION while the job ends.
  absl::Status ReviseWords(const v1::JobSpec& spec);
  void Cancel();
  void Fail(const absl::Status& status);
  // The coordinator stops: no more iterations, and a checkpoint after the one under way.
  void Suspend();
  bool Settled() const;
  // No more waiting: the iteration under way and evaluations are given up, the checkpoint is of
  // what there is.
  void Hurry();

  // Float work. Take only when Has; every Take is followed by an Apply with what Do() gave.
  bool HasFloatWork() const { return !float_busy_ && !ending_ && !float_.empty(); }
  FloatWork TakeFloatWork();
  OuterLoop* outer_loop() const { return outer_.get(); }
  void Apply(FloatResult result);

  void OnCheckpointWritten(const absl::StatusOr<v1::CheckpointInfo>& info, absl::Duration took);
  void Ended(v1::Job row);
  void ShowProgress(bool waiting) const;
  // Some ten times a second. Returns whether iterations were done since the last call.
  bool Tick();

  const v1::JobDescription& description() const override { return description_; }
  const std::string& fingerprint() const override { return job_.fingerprint(); }
  double weight() const override { return spec().weight(); }
  const Parameters* parameters() const override {
    return current_.encoded == nullptr ? nullptr : &current_;
  }
  void FillItem(size_t shard, v1::WorkItem& item) const override;
  uint64_t Tasks(size_t shard) const override;
  std::string Name(size_t shard) const override;
  void Describe(size_t shard, v1::LogEntry& entry) const override;
  absl::Status Check(size_t shard, const v1::ResultBegin& result) const override;
  void OnResult(size_t shard, const v1::ResultBegin& result, const std::string& fingerprint,
                FlatBuffer buffer) override;
  void OnFailure(const absl::Status& status) override { Fail(status); }
  void OnInFlight(int change) override { environment_.metrics->OnShardsInFlight(change); }
  void OnReissued() override;
  void OnTasks(const char* outcome, uint64_t tasks) override {
    environment_.metrics->OnTasks(outcome, tasks);
  }

 private:
  // Of users. FAILED_PRECONDITION as JobMachine has it, and while the job ends.
  absl::Status ApplyWish(JobEvent wish);
  uint64_t version() const { return job_.iteration(); }
  bool initialised() const { return outer_ != nullptr; }
  void OnInitialised(const v1::ResultBegin& result, const std::string& fingerprint,
                     FlatBuffer buffer);
  void OnStarted(absl::StatusOr<std::unique_ptr<OuterLoop>> outer);
  void OnStep(const StepOutcome& outcome);
  // False when the policy fails the job.
  bool SkipNonFinite(uint64_t iteration);
  void TakeWhatIsDue();
  // What comes next, at the boundary between two iterations.
  void Advance();
  void BeginIteration();
  void GiveUpIteration();
  void BeginPeriodicEvaluation();
  void StartEvaluation(const v1::EvaluationProtocol& protocol, bool final);
  void OnEvaluationDone(EvaluationRun& run, absl::StatusOr<v1::Evaluation> result);
  void TakeEvaluation(v1::Evaluation evaluation);
  void ForceCheckpoint();
  void WriteNext();
  void FinishIfDone();
  void End(v1::JobState state);
  void StoreRow();
  // About the job as it stands.
  void Log(v1::LogSeverity severity, absl::string_view message);
  // What the row has of them: doubts about the job when it was submitted or revised, which stay in
  // the log alone after a restart, and checkpoints that were passed over when it goes on.
  void LogWarnings();
  void LogEnd(const v1::Job& row);
  void Label(Checkpoint& checkpoint) const;

  const Environment environment_;
  const std::optional<v1::DataSetDescription> data_set_;
  v1::JobDescription description_;
  v1::Job job_;
  JobMachine machine_;
  CheckpointPlan plan_;
  bool ending_ = false;
  bool suspended_ = false;
  // Hurry() was called, and waits for float work.
  bool hurried_ = false;

  std::optional<Checkpoint> init_from_;
  std::optional<Past> past_;
  std::unique_ptr<OuterLoop> outer_;
  Parameters current_;
  uint64_t buffer_bytes_ = 0;

  FloatWork float_;
  bool float_busy_ = false;
  bool iterating_ = false;
  absl::Duration iteration_began_;
  std::vector<v1::TaskMetrics> parts_;
  std::vector<std::shared_ptr<EvaluationRun>> runs_;
  // Periodic ones that wait for those of earlier versions.
  std::map<uint64_t, v1::Evaluation> evaluated_;
  uint32_t skipped_in_a_row_ = 0;

  // Since when training time counts; absent while it does not.
  std::optional<absl::Duration> counted_from_;
  std::deque<std::pair<absl::Duration, uint64_t>> pace_;
  uint64_t ticked_ = 0;
  std::optional<absl::Duration> retry_checkpoint_at_;
  std::string checkpoint_warning_;
  // As CheckpointMetadata has it.
  std::string outer_numerics_ = kOuterNumerics;
};

}  // namespace innerloop::server
