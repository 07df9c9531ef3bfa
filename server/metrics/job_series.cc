#include "server/metrics/job_series.h"

#include <cstring>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/job/task_view.h"
#include "core/metrics/coordinator_metrics.h"
#include "server/jobs/job_machine.h"

namespace innerloop::server {
namespace {

constexpr absl::Duration kWindow = absl::Seconds(1);
// After more inner steps than these only the last one is shown, so that the number of series does
// not grow with a job's settings.
constexpr uint32_t kShownSteps = 10;
constexpr std::array<const char*, 4> kPhaseNames = {"compute", "reduce", "outer_step", "total"};

prometheus::Histogram PhaseHistogram() {
  return prometheus::Histogram({1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
                                1, 2, 5, 10, 30, 60, 120});
}

// Which field of the message's choice is set: "maml".
std::string ChoiceOf(const google::protobuf::Message& message) {
  const auto* field = message.GetReflection()->GetOneofFieldDescriptor(
      message, message.GetDescriptor()->oneof_decl(0));
  return field == nullptr ? "" : field->name();
}

absl::Time TimeOf(const v1::CheckpointInfo& checkpoint) {
  return absl::FromUnixNanos(
      google::protobuf::util::TimeUtil::TimestampToNanoseconds(checkpoint.written()));
}

void AddEvaluation(const v1::Evaluation& evaluation, const char* schedule,
                   const std::string& job_id, Families& families) {
  const LabelValues common = {job_id, schedule,
                              std::string(SplitName(evaluation.protocol().split()))};
  families.Add(metrics::kEvaluationIteration, static_cast<double>(evaluation.iteration()), common);
  for (int i = 0; i < evaluation.steps_size(); ++i) {
    const v1::StepMeasure& measure = evaluation.steps(i);
    if (measure.step() > kShownSteps && i + 1 < evaluation.steps_size()) {
      continue;
    }
    LabelValues values = common;
    values.push_back(absl::StrCat(measure.step()));
    values.push_back(i + 1 == evaluation.steps_size() ? "after" : i == 0 ? "before" : "during");
    families.Add(metrics::kEvaluationLoss, measure.loss(), values);
    if (measure.has_accuracy()) {
      families.Add(metrics::kEvaluationAccuracy, measure.accuracy(), values);
    }
  }
}

void AddIfShown(const metrics::Definition& definition, const std::optional<double>& value,
                LabelValues values, Families& families) {
  if (value.has_value()) {
    families.Add(definition, *value, std::move(values));
  }
}

}  // namespace

JobSeries::JobSeries(const Clock& clock)
    : clock_(clock),
      begun_(clock.Now()),
      phases_{PhaseHistogram(), PhaseHistogram(), PhaseHistogram(), PhaseHistogram()},
      window_start_(clock.Monotonic()) {}

void JobSeries::Mean::Close() {
  if (count > 0) {
    shown = sum / count;
    sum = 0;
    count = 0;
  }
}

void JobSeries::CloseWindow(absl::Duration now) {
  for (Mean* mean : {&meta_loss_, &meta_accuracy_, &support_loss_before_, &support_loss_after_,
                     &query_loss_before_, &update_norm_, &learning_rate_}) {
    mean->Close();
  }
  window_start_ = now;
  window_closed_ = true;
}

void JobSeries::OnSpec(const v1::JobSpec& spec) {
  const absl::MutexLock lock(&mutex_);
  description_ = {spec.name(), ChoiceOf(spec.algorithm()), ChoiceOf(spec.model()),
                  ChoiceOf(spec.tasks())};
  checkpoint_interval_ = spec.checkpoint().every_seconds();
  query_loss_alone_ = spec.objective().terms().empty();
}

void JobSeries::OnProgress(const Progress& progress) {
  const absl::MutexLock lock(&mutex_);
  progress_ = progress;
}

void JobSeries::OnIteration(const v1::IterationRecord& record) {
  iterations_.Increment();
  const absl::Duration now = clock_.Monotonic();
  const absl::MutexLock lock(&mutex_);
  learning_rate_.Add(record.learning_rate());
  if (record.skipped()) {
    skipped_.Increment();
  } else {
    meta_loss_.Add(record.meta_loss());
    update_norm_.Add(record.update_norm());
    if (record.has_meta_accuracy()) {
      meta_accuracy_.Add(record.meta_accuracy());
    }
    if (record.has_support_loss_before()) {
      support_loss_before_.Add(record.support_loss_before());
    }
    if (record.has_support_loss_after()) {
      support_loss_after_.Add(record.support_loss_after());
    }
    if (record.has_query_loss_before()) {
      query_loss_before_.Add(record.query_loss_before());
    }
  }
  if (now - window_start_ >= kWindow) {
    CloseWindow(now);
  }
}

void JobSeries::OnPhase(Phase phase, absl::Duration time) {
  phases_[static_cast<size_t>(phase)].Observe(absl::ToDoubleSeconds(time));
}

void JobSeries::OnEvaluation(const v1::Evaluation& evaluation) {
  const absl::MutexLock lock(&mutex_);
  if (evaluation.periodic()) {
    periodic_ = evaluation;
  }
  if (evaluation.final()) {
    final_ = evaluation;
  }
}

void JobSeries::OnShardsInFlight(int change) { shards_in_flight_.Increment(change); }

void JobSeries::OnShardReissued() { reissued_.Increment(); }

void JobSeries::OnTasks(const char* outcome, uint64_t tasks) {
  const auto count = static_cast<double>(tasks);
  if (std::strcmp(outcome, "counted") == 0) {
    counted_.Increment(count);
  } else if (std::strcmp(outcome, "failed") == 0) {
    failed_.Increment(count);
  } else {
    stale_.Increment(count);
  }
}

void JobSeries::OnCheckpoint(const v1::CheckpointInfo& written,
                             std::optional<absl::Duration> took) {
  const absl::MutexLock lock(&mutex_);
  checkpoint_ = written;
  checkpoint_took_ = took;
}

void JobSeries::OnCheckpointFailed() {
  const absl::MutexLock lock(&mutex_);
  ++checkpoint_failures_;
}

void JobSeries::AddTo(const std::string& job_id, Families& families) {
  families.Add(metrics::kIterations, iterations_.Collect(), {job_id});
  families.Add(metrics::kSkipped, skipped_.Collect(), {job_id});
  families.Add(metrics::kTasks, counted_.Collect(), {job_id, "counted"});
  families.Add(metrics::kTasks, failed_.Collect(), {job_id, "failed"});
  families.Add(metrics::kTasks, stale_.Collect(), {job_id, "stale"});
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    families.Add(metrics::kPhases, phases_[phase].Collect(), {job_id, kPhaseNames[phase]});
  }
  families.Add(metrics::kShardsInFlight, shards_in_flight_.Collect(), {job_id});
  families.Add(metrics::kShardsReissued, reissued_.Collect(), {job_id});

  const absl::MutexLock lock(&mutex_);
  if (!description_.empty()) {
    LabelValues values = {job_id};
    values.insert(values.end(), description_.begin(), description_.end());
    families.Add(metrics::kJobInfo, 1, std::move(values));
  }
  if (progress_.state != v1::JOB_STATE_UNSPECIFIED) {
    families.Add(metrics::kJobStateNow, 1,
                 {job_id, absl::AsciiStrToLower(JobMachine::Name(progress_.state))});
    families.Add(metrics::kJobWaiting, progress_.waiting ? 1 : 0, {job_id});
    families.Add(metrics::kJobIteration, static_cast<double>(progress_.iteration), {job_id});
    families.Add(metrics::kJobTarget, static_cast<double>(progress_.iterations), {job_id});
  }
  AddMeasures(job_id, families);
  AddCheckpoint(job_id, families);
}

void JobSeries::AddMeasures(const std::string& job_id, Families& families) {
  const absl::Duration now = clock_.Monotonic();
  // Iterations that take long, or that ended, close no window themselves.
  if (!window_closed_ || now - window_start_ >= kWindow) {
    CloseWindow(now);
    window_closed_ = meta_loss_.shown.has_value();
  }
  AddIfShown(metrics::kMetaLoss, meta_loss_.shown, {job_id}, families);
  AddIfShown(metrics::kMetaAccuracy, meta_accuracy_.shown, {job_id}, families);
  AddIfShown(metrics::kSupportLoss, support_loss_before_.shown, {job_id, "before"}, families);
  AddIfShown(metrics::kSupportLoss, support_loss_after_.shown, {job_id, "after"}, families);
  AddIfShown(metrics::kQueryLoss, query_loss_before_.shown, {job_id, "before"}, families);
  if (query_loss_alone_) {
    AddIfShown(metrics::kQueryLoss, meta_loss_.shown, {job_id, "after"}, families);
  }
  AddIfShown(metrics::kUpdateNorm, update_norm_.shown, {job_id}, families);
  AddIfShown(metrics::kLearningRate, learning_rate_.shown, {job_id}, families);
  if (periodic_.has_value()) {
    AddEvaluation(*periodic_, "periodic", job_id, families);
  }
  if (final_.has_value()) {
    AddEvaluation(*final_, "final", job_id, families);
  }
}

void JobSeries::AddCheckpoint(const std::string& job_id, Families& families) {
  absl::Time since = begun_;
  if (checkpoint_.has_value()) {
    since = TimeOf(*checkpoint_);
    families.Add(metrics::kCheckpointBytes, static_cast<double>(checkpoint_->bytes()), {job_id});
    families.Add(metrics::kCheckpointTimestamp, absl::ToDoubleSeconds(since - absl::UnixEpoch()),
                 {job_id});
  }
  if (checkpoint_took_.has_value()) {
    families.Add(metrics::kCheckpointSeconds, absl::ToDoubleSeconds(*checkpoint_took_), {job_id});
  }
  families.Add(metrics::kCheckpointAge, absl::ToDoubleSeconds(clock_.Now() - since), {job_id});
  families.Add(metrics::kCheckpointInterval, checkpoint_interval_, {job_id});
  families.Add(metrics::kCheckpointFailures, checkpoint_failures_, {job_id});
}

}  // namespace innerloop::server
