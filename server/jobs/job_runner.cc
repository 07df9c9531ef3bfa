#include "server/jobs/job_runner.h"

#include <utility>

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "server/iteration/measures.h"
#include "server/jobs/revision.h"

namespace innerloop::server {

using google::protobuf::util::MessageDifferencer;

JobRunner::JobRunner(v1::Job row, std::optional<v1::DataSetDescription> data_set,
                     Environment environment)
    : Lane(absl::Seconds(row.spec().limits().shard_timeout_seconds())),
      environment_(std::move(environment)),
      data_set_(std::move(data_set)),
      job_(std::move(row)),
      machine_(job_.state()),
      plan_(job_.spec().checkpoint()) {
  environment_.metrics->OnSpec(job_.spec());
  description_.set_job_id(job_.id());
  *description_.mutable_spec() = job_.spec();
  if (data_set_.has_value()) {
    *description_.mutable_data_set() = *data_set_;
  }
}

void JobRunner::Start(std::optional<Checkpoint> init_from) {
  LogWarnings();
  init_from_ = std::move(init_from);
  if (state() != v1::JOB_STATE_PAUSED) {
    machine_ = JobMachine(v1::JOB_STATE_QUEUED);
    board().Reset(1);
  }
  job_.set_iteration(0);
  job_.set_training_seconds(0);
  job_.set_skipped_iterations(0);
}

void JobRunner::Restore(Past past) {
  if (state() != v1::JOB_STATE_PAUSED) {
    machine_ = JobMachine(v1::JOB_STATE_RUNNING);
  }
  const v1::CheckpointMetadata& metadata = past.checkpoint.metadata;
  job_.set_iteration(metadata.iteration());
  job_.set_training_seconds(metadata.training_seconds());
  job_.set_skipped_iterations(metadata.iteration() - metadata.optimizer_steps());
  job_.set_fingerprint(metadata.fingerprint());
  job_.clear_final();
  if (past.final.has_value()) {
    *job_.mutable_final() = *past.final;
  }
  if (past.best.has_value()) {
    plan_.SetBest(*past.best);
  }
  skipped_in_a_row_ = past.skipped_in_a_row;
  plan_.Start(version(), job_.training_seconds(), /*stored=*/true);
  LogWarnings();
  outer_numerics_ = ContinuedNumerics(metadata.outer_numerics());
  if (IsMixed(outer_numerics_) && outer_numerics_ != metadata.outer_numerics()) {
    Log(v1::LOG_SEVERITY_WARNING,
        absl::StrCat("goes on under version ", kOuterNumerics,
                     " of the coordinator's arithmetic, which may give other bits than the version "
                     "before: ",
                     outer_numerics_));
  }
  for (const v1::Evaluation* evaluation : {&job_.last_periodic(), &job_.final()}) {
    environment_.metrics->OnEvaluation(*evaluation);
  }
  if (job_.has_last_checkpoint()) {
    environment_.metrics->OnCheckpoint(job_.last_checkpoint(), std::nullopt);
  }
  float_.start = std::move(past.checkpoint);
  past_ = std::move(past);
}

v1::Job JobRunner::Row() const {
  v1::Job row = job_;
  row.set_state(state());
  if (!checkpoint_warning_.empty()) {
    row.add_warnings(checkpoint_warning_);
  }
  if (IsMixed(outer_numerics_)) {
    row.add_warnings(absl::StrCat("its outer steps were computed by versions ", outer_numerics_,
                                  " of the coordinator's arithmetic: the bits may not be those of "
                                  "a run under one version"));
  }
  if (state() == v1::JOB_STATE_RUNNING && !pace_.empty()) {
    const double seconds =
        absl::ToDoubleSeconds(environment_.clock.Monotonic() - pace_.front().first);
    if (seconds > 0) {
      row.set_iterations_per_second(static_cast<double>(version() - pace_.front().second) /
                                    seconds);
    }
  }
  return row;
}

// ---- users' wishes

absl::Status JobRunner::ApplyWish(JobEvent wish) {
  if (ending_) {
    // How it ended is being stored: nothing may be stored after it.
    return absl::FailedPreconditionError("it is ending; ask again");
  }
  // Parameters that are about to come from a checkpoint are there.
  return machine_.Apply(wish, initialised() || past_.has_value());
}

absl::Status JobRunner::Pause() {
  const v1::JobState before = state();
  if (absl::Status status = ApplyWish(JobEvent::kPause); !status.ok()) {
    return status;
  }
  if (before != state()) {
    Log(v1::LOG_SEVERITY_INFO, "paused by a user");
  }
  if (!initialised() && !float_busy_ && board().untouched()) {
    board().Clear();
  } else if (iterating_ && board().untouched()) {
    GiveUpIteration();
  }
  StoreRow();
  Advance();
  return absl::OkStatus();
}

absl::Status JobRunner::Resume() {
  const v1::JobState before = state();
  if (absl::Status status = ApplyWish(JobEvent::kResume); !status.ok()) {
    return status;
  }
  if (before != state()) {
    Log(v1::LOG_SEVERITY_INFO, "resumed by a user");
  }
  if (!initialised() && board().size() == 0 && !float_busy_ && float_.empty()) {
    board().Reset(1);
  }
  StoreRow();
  Advance();
  return absl::OkStatus();
}

absl::Status JobRunner::Revise(const v1::JobSpec& spec) {
  if (absl::Status status = ApplyWish(JobEvent::kExtend); !status.ok()) {
    return status;
  }
  if (!MessageDifferencer::Equals(spec.evaluation().periodic(),
                                  job_.spec().evaluation().periodic())) {
    plan_.ForgetBest();
  }
  plan_.SetSchedule(spec.checkpoint());
  board().SetShardTimeout(absl::Seconds(spec.limits().shard_timeout_seconds()));
  Log(v1::LOG_SEVERITY_INFO, absl::StrCat("revised by a user: ", Changes(job_.spec(), spec)));
  if (const std::string doubt = DoubtOf(job_.spec(), version(), spec); !doubt.empty()) {
    Log(v1::LOG_SEVERITY_WARNING, doubt);
    job_.add_warnings(doubt);
  }
  // Workers keep the description that they have: it computes the same.
  *job_.mutable_spec() = spec;
  environment_.metrics->OnSpec(spec);
  StoreRow();
  return absl::OkStatus();
}

absl::Status JobRunner::ReviseWords(const v1::JobSpec& spec) {
  if (ending_) {
    return absl::FailedPreconditionError(absl::StrCat("job '", id(), "' is ending; ask again"));
  }
  *job_.mutable_spec() = spec;
  environment_.metrics->OnSpec(spec);
  StoreRow();
  return absl::OkStatus();
}

void JobRunner::Cancel() {
  if (!ending_ && machine_.Apply(JobEvent::kCancel, initialised()).ok()) {
    End(v1::JOB_STATE_CANCELLED);
  }
}

void JobRunner::Fail(const absl::Status& status) {
  if (ending_) {
    return;
  }
  job_.set_failure_code(status.raw_code());
  job_.set_failure_message(std::string(status.message()));
  End(v1::JOB_STATE_FAILED);
}

// ---- float work

FloatWork JobRunner::TakeFloatWork() {
  float_busy_ = true;
  float_.iterations = spec().iterations();
  return std::exchange(float_, FloatWork());
}

void JobRunner::Apply(FloatResult result) {
  float_busy_ = false;
  if (ending_) {
    return;
  }
  if (result.started.has_value()) {
    OnStarted(*std::move(result.started));
  }
  if (result.held.has_value()) {
    Label(*result.held);
    plan_.Hold(*std::move(result.held));
    StartEvaluation(spec().evaluation().periodic(), /*final=*/false);
  }
  if (result.offered.has_value()) {
    Label(*result.offered);
    plan_.Offer(*std::move(result.offered));
    WriteNext();
  }
  if (result.step.has_value()) {
    OnStep(*result.step);
  }
  if (hurried_) {
    Hurry();
  }
}

void JobRunner::OnStarted(absl::StatusOr<std::unique_ptr<OuterLoop>> outer) {
  if (!outer.ok()) {
    Fail(outer.status());
    return;
  }
  outer_ = *std::move(outer);
  current_ = outer_->parameters();
  buffer_bytes_ = static_cast<uint64_t>(outer_->layout().flat_size()) * sizeof(float);
  job_.set_parameters(static_cast<uint64_t>(outer_->layout().scalars()));
  if (past_.has_value()) {
    const uint64_t every = spec().evaluation().every();
    if (every > 0 && version() > 0 && version() % every == 0 && !past_->evaluated) {
      BeginPeriodicEvaluation();
    }
    past_.reset();
  } else {
    machine_.Apply(JobEvent::kInitialised, /*initialised=*/true).IgnoreError();
    Log(v1::LOG_SEVERITY_INFO,
        absl::StrCat("initialised, ", job_.parameters(), " parameters, on ", job_.fingerprint()));
    plan_.Start(0, 0, /*stored=*/false);
    if (!spec().init_from().empty()) {
      // The checkpoint that it began from may be gone after a restart.
      ForceCheckpoint();
    }
  }
  StoreRow();
  environment_.host.Changed(*this);
  Advance();
}

void JobRunner::OnStep(const StepOutcome& outcome) {
  const absl::Duration now = environment_.clock.Monotonic();
  const uint64_t iteration = version();
  iterating_ = false;
  current_ = outcome.parameters;
  job_.set_iteration(iteration + 1);
  job_.set_training_seconds(job_.training_seconds() +
                            absl::ToDoubleSeconds(now - counted_from_.value_or(now)));
  counted_from_ = now;

  v1::IterationRecord record;
  record.set_iteration(iteration);
  FillMeans(parts_, record);
  record.set_update_norm(outcome.update_norm);
  record.set_learning_rate(outcome.learning_rate);
  record.set_seconds(job_.training_seconds());
  record.set_skipped(!outcome.finite);
  job_.set_meta_loss(record.meta_loss());
  if (record.has_meta_accuracy()) {
    job_.set_meta_accuracy(record.meta_accuracy());
  }
  environment_.metrics->OnPhase(Phase::kReduce, outcome.reduce_time);
  environment_.metrics->OnPhase(Phase::kOuterStep, outcome.step_time);
  environment_.metrics->OnPhase(Phase::kTotal, now - iteration_began_);
  environment_.metrics->OnIteration(record);
  environment_.recorder.AddIteration(id(), std::move(record));
  if (outcome.finite) {
    skipped_in_a_row_ = 0;
  } else if (!SkipNonFinite(iteration)) {
    return;
  }
  TakeWhatIsDue();
  Advance();
}

bool JobRunner::SkipNonFinite(uint64_t iteration) {
  const v1::NonFinitePolicy& policy = spec().non_finite();
  if (policy.action() != v1::NonFinitePolicy::ACTION_SKIP) {
    Fail(absl::OutOfRangeError(
        absl::StrCat("the update of iteration ", iteration, " holds an infinity or a NaN")));
    return false;
  }
  Log(v1::LOG_SEVERITY_WARNING,
      absl::StrCat("iteration ", iteration, " is skipped: its update holds an infinity or a NaN"));
  job_.set_skipped_iterations(job_.skipped_iterations() + 1);
  if (++skipped_in_a_row_ >= policy.max_consecutive()) {
    Fail(absl::OutOfRangeError(absl::StrCat("the updates of ", skipped_in_a_row_,
                                            " iterations in a row, up to iteration ", iteration,
                                            ", hold infinities or NaNs")));
    return false;
  }
  return true;
}

// ---- iterations

void JobRunner::TakeWhatIsDue() {
  if (plan_.Due(version(), job_.training_seconds())) {
    plan_.Taken(version(), job_.training_seconds());
    float_.capture_offered = true;
  }
  const uint64_t every = spec().evaluation().every();
  if (every > 0 && version() % every == 0) {
    BeginPeriodicEvaluation();
  }
}

void JobRunner::Advance() {
  if (!initialised() || iterating_ || ending_ || ended()) {
    return;
  }
  if (state() == v1::JOB_STATE_PAUSED || suspended_) {
    counted_from_.reset();
    pace_.clear();
    ForceCheckpoint();
    return;
  }
  if (state() == v1::JOB_STATE_RUNNING && version() >= spec().iterations()) {
    machine_.Apply(JobEvent::kIterationsDone, /*initialised=*/true).IgnoreError();
    counted_from_.reset();
    if (!spec().evaluation().skip_final() && !job_.has_final()) {
      StartEvaluation(spec().evaluation().final(), /*final=*/true);
    }
    StoreRow();
    environment_.host.Changed(*this);
  }
  if (state() == v1::JOB_STATE_FINISHING) {
    ForceCheckpoint();
    FinishIfDone();
    return;
  }
  // Evaluations pin their parameters: were they slower than the training, they would pile up.
  if (plan_.evaluations() < 2) {
    BeginIteration();
  }
}

void JobRunner::BeginIteration() {
  iterating_ = true;
  iteration_began_ = environment_.clock.Monotonic();
  if (!counted_from_.has_value()) {
    counted_from_ = iteration_began_;
  }
  if (pace_.empty()) {
    pace_.emplace_back(iteration_began_, version());
  }
  const size_t shards = ShardCount(spec());
  board().Reset(shards);
  parts_.resize(shards);
  float_.begin = shards;
}

void JobRunner::GiveUpIteration() {
  environment_.host.DropItems(*this);
  board().Clear();
  iterating_ = false;
  float_.begin = 0;
  float_.add.clear();
}

}  // namespace innerloop::server
