// JobRunner: evaluations, checkpoints, and how a job ends, or stops with the coordinator.
#include <algorithm>
#include <utility>

#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "server/jobs/job_runner.h"

namespace innerloop::server {
namespace {

// Over which iterations_per_second is measured.
constexpr absl::Duration kPaceWindow = absl::Seconds(10);
constexpr absl::Duration kRetryCheckpoint = absl::Seconds(5);
// Beside its training, a job's periodic evaluation takes this share of the training's.
constexpr double kEvaluationWeight = 0.25;

}  // namespace

void JobRunner::BeginPeriodicEvaluation() {
  plan_.BeginEvaluation(version());
  float_.capture_held = true;
}

void JobRunner::StartEvaluation(const v1::EvaluationProtocol& protocol, bool final) {
  EvaluationRun::Setup setup;
  setup.evaluation.set_job_id(id());
  setup.evaluation.set_iteration(version());
  *setup.evaluation.mutable_protocol() = protocol;
  setup.evaluation.set_periodic(!final);
  setup.evaluation.set_final(final);
  setup.spec = spec();
  setup.data_set = data_set_.has_value() ? &*data_set_ : nullptr;
  setup.parameters = current_;
  setup.fingerprint = job_.fingerprint();
  setup.weight = final ? weight() : weight() * kEvaluationWeight;
  auto run = std::make_shared<EvaluationRun>(
      std::move(setup), [this](EvaluationRun& run, absl::StatusOr<v1::Evaluation> result) {
        OnEvaluationDone(run, std::move(result));
      });
  runs_.push_back(run);
  environment_.host.AddEvaluation(std::move(run));
}

void JobRunner::OnEvaluationDone(EvaluationRun& run, absl::StatusOr<v1::Evaluation> result) {
  environment_.host.RemoveEvaluation(run);
  const bool final = run.evaluation().final();
  const uint64_t of_version = run.evaluation().iteration();
  const auto it = std::find_if(runs_.begin(), runs_.end(),
                               [&](const auto& other) { return other.get() == &run; });
  const std::shared_ptr<EvaluationRun> kept = *it;
  runs_.erase(it);
  if (ending_ || (suspended_ && !result.ok())) {
    return;
  }
  if (!result.ok()) {
    Fail(
        absl::Status(result.status().code(), absl::StrCat("the evaluation of version ", of_version,
                                                          " failed: ", result.status().message())));
    return;
  }
  if (final) {
    TakeEvaluation(*std::move(result));
  } else {
    // Evaluations count in the order of their versions, whichever is done first.
    evaluated_.emplace(of_version, *std::move(result));
    while (!evaluated_.empty() && plan_.IsOldest(evaluated_.begin()->first)) {
      TakeEvaluation(std::move(evaluated_.extract(evaluated_.begin()).mapped()));
    }
  }
  StoreRow();
  environment_.host.Changed(*this);
  WriteNext();
  Advance();
}

void JobRunner::TakeEvaluation(v1::Evaluation evaluation) {
  environment_.metrics->OnEvaluation(evaluation);
  environment_.recorder.AddEvaluation(id(), evaluation);
  if (evaluation.final()) {
    *job_.mutable_final() = std::move(evaluation);
    return;
  }
  // The job may have been revised meanwhile.
  plan_.EndEvaluation(evaluation, google::protobuf::util::MessageDifferencer::Equals(
                                      evaluation.protocol(), spec().evaluation().periodic()));
  *job_.mutable_last_periodic() = std::move(evaluation);
}

void JobRunner::Label(Checkpoint& checkpoint) const {
  v1::CheckpointMetadata& metadata = checkpoint.metadata;
  metadata.set_job_id(id());
  *metadata.mutable_spec() = spec();
  metadata.set_fingerprint(job_.fingerprint());
  if (data_set_.has_value()) {
    *metadata.mutable_data_set() = *data_set_;
  }
  metadata.set_training_seconds(job_.training_seconds());
  metadata.set_outer_numerics(outer_numerics_);
}

void JobRunner::ForceCheckpoint() {
  const absl::Duration now = environment_.clock.Monotonic();
  if (plan_.Has(version()) || (retry_checkpoint_at_.has_value() && now < *retry_checkpoint_at_)) {
    return;
  }
  plan_.Taken(version(), job_.training_seconds());
  float_.capture_offered = true;
}

void JobRunner::WriteNext() {
  if (std::optional<CheckpointPlan::Write> write = plan_.Next(); write.has_value()) {
    environment_.host.WriteCheckpoint(*this, std::move(write->checkpoint), write->best);
  }
}

void JobRunner::OnCheckpointWritten(const absl::StatusOr<v1::CheckpointInfo>& info,
                                    absl::Duration took) {
  plan_.Written(info.ok());
  if (info.ok()) {
    environment_.metrics->OnCheckpoint(*info, took);
    if (!checkpoint_warning_.empty()) {
      Log(v1::LOG_SEVERITY_INFO, "checkpoints are written again");
    }
    checkpoint_warning_.clear();
    retry_checkpoint_at_.reset();
    if (info->iteration() >= job_.last_checkpoint().iteration()) {
      *job_.mutable_last_checkpoint() = *info;
    }
    if (info->best()) {
      *job_.mutable_best_checkpoint() = *info;
    }
  } else {
    environment_.metrics->OnCheckpointFailed();
    std::string warning =
        absl::StrCat("the last checkpoint could not be written: ", info.status().message());
    // It is tried again and again.
    if (checkpoint_warning_.empty()) {
      Log(v1::LOG_SEVERITY_ERROR, warning);
    }
    checkpoint_warning_ = std::move(warning);
    retry_checkpoint_at_ = environment_.clock.Monotonic() + kRetryCheckpoint;
  }
  if (ending_ || ended()) {
    return;
  }
  StoreRow();
  environment_.host.Changed(*this);
  WriteNext();
  Advance();
}

void JobRunner::FinishIfDone() {
  const bool evaluated = spec().evaluation().skip_final() || job_.has_final();
  if (evaluated && runs_.empty() && plan_.evaluations() == 0 && plan_.idle() &&
      plan_.Stored(version()) && float_.empty() && !float_busy_) {
    End(v1::JOB_STATE_SUCCEEDED);
  }
}

void JobRunner::Suspend() {
  suspended_ = true;
  Log(v1::LOG_SEVERITY_INFO, "the coordinator stops; the job goes on when it is back");
  if (iterating_ && board().untouched()) {
    GiveUpIteration();
  }
  Advance();
}

bool JobRunner::Settled() const {
  if (ended() || (!initialised() && !float_busy_ && float_.empty())) {
    return true;
  }
  return !ending_ && !iterating_ && !float_busy_ && float_.empty() && plan_.idle() &&
         (plan_.Has(version()) || retry_checkpoint_at_.has_value());
}

void JobRunner::Hurry() {
  suspended_ = true;
  if (ending_) {
    return;
  }
  // What float work comes back with is given up with the rest, then.
  hurried_ = float_busy_ || float_.step;
  if (hurried_) {
    return;
  }
  if (iterating_) {
    GiveUpIteration();
  }
  float_.capture_held = false;
  if (plan_.GiveUpEvaluations()) {
    // The checkpoint is of an earlier version: behind one of the present version, the evaluations
    // between them would never be done.
    float_.capture_offered = false;
    plan_.Taken(version(), job_.training_seconds());
  }
  for (const std::shared_ptr<EvaluationRun>& run :
       std::vector<std::shared_ptr<EvaluationRun>>(runs_)) {
    run->Abort(absl::UnavailableError("the coordinator is stopping"));
  }
  WriteNext();
  Advance();
}

void JobRunner::End(v1::JobState state) {
  ending_ = true;
  environment_.host.DropItems(*this);
  board().Clear();
  float_ = FloatWork();
  for (const std::shared_ptr<EvaluationRun>& run :
       std::vector<std::shared_ptr<EvaluationRun>>(runs_)) {
    run->Abort(absl::CancelledError("the job ended"));
  }
  v1::Job row = Row();
  row.set_state(state);
  *row.mutable_ended() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      absl::ToUnixNanos(environment_.clock.Now()));
  row.clear_iterations_per_second();
  LogEnd(row);
  environment_.host.End(*this, std::move(row));
}

void JobRunner::Ended(v1::Job row) {
  machine_ = JobMachine(row.state());
  job_ = std::move(row);
  // They are among the row's warnings.
  checkpoint_warning_.clear();
  outer_numerics_.clear();
  ShowProgress(/*waiting=*/false);
}

void JobRunner::ShowProgress(bool waiting) const {
  environment_.metrics->OnProgress({.state = state(),
                                    .iteration = version(),
                                    .iterations = spec().iterations(),
                                    .waiting = waiting});
}

void JobRunner::Log(v1::LogSeverity severity, absl::string_view message) {
  v1::LogEntry entry;
  entry.set_job_id(id());
  entry.set_severity(severity);
  if (initialised() || version() > 0) {
    entry.set_iteration(version());
  }
  entry.set_message(std::string(message));
  environment_.log.Add(std::move(entry));
}

void JobRunner::LogWarnings() {
  for (const std::string& warning : job_.warnings()) {
    Log(v1::LOG_SEVERITY_WARNING, warning);
  }
}

void JobRunner::LogEnd(const v1::Job& row) {
  switch (row.state()) {
    case v1::JOB_STATE_SUCCEEDED:
      Log(v1::LOG_SEVERITY_INFO,
          absl::StrCat("finished: ", row.iteration(), " iterations in ",
                       absl::FormatDuration(absl::Trunc(absl::Seconds(row.training_seconds()),
                                                        absl::Milliseconds(1)))));
      break;
    case v1::JOB_STATE_FAILED:
      Log(v1::LOG_SEVERITY_ERROR, absl::StrCat("failed: ", row.failure_message()));
      break;
    default:
      Log(v1::LOG_SEVERITY_INFO, absl::StrCat("cancelled at iteration ", row.iteration()));
  }
}

void JobRunner::StoreRow() { environment_.recorder.UpdateJob(Row()); }

bool JobRunner::Tick() {
  if (ending_ || ended()) {
    return false;
  }
  const absl::Duration now = environment_.clock.Monotonic();
  const double limit = spec().limits().max_seconds();
  if (limit > 0) {
    const absl::Time submitted = absl::FromUnixNanos(
        google::protobuf::util::TimeUtil::TimestampToNanoseconds(job_.submitted()));
    if (environment_.clock.Now() - submitted > absl::Seconds(limit)) {
      Fail(absl::DeadlineExceededError(
          absl::StrCat("the job has not ended within limits.max_seconds = ", limit)));
      return true;
    }
  }
  if (state() == v1::JOB_STATE_RUNNING && counted_from_.has_value()) {
    pace_.emplace_back(now, version());
    while (pace_.size() > 1 && now - pace_.front().first > kPaceWindow) {
      pace_.pop_front();
    }
  }
  if (retry_checkpoint_at_.has_value() && now >= *retry_checkpoint_at_) {
    Advance();
  }
  return std::exchange(ticked_, version()) != version();
}

}  // namespace innerloop::server
