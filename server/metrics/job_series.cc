#include "server/metrics/job_series.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace innerloop::server {
namespace {

using prometheus::MetricType;
using Label = prometheus::ClientMetric::Label;

constexpr absl::Duration kWindow = absl::Seconds(1);
// After more inner steps than these only the last one is shown, so that the number of series does
// not grow with a job's settings.
constexpr uint32_t kShownSteps = 10;
constexpr std::array<const char*, 4> kPhaseNames = {"compute", "reduce", "outer_step", "total"};

prometheus::Histogram PhaseHistogram() {
  return prometheus::Histogram({1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
                                1, 2, 5, 10, 30, 60, 120});
}

void AddIfShown(FamilyBuilder& family, const std::optional<double>& value, LabelList labels) {
  if (value.has_value()) {
    family.Add(*value, std::move(labels));
  }
}

}  // namespace

JobFamilies::JobFamilies()
    : meta_loss("innerloop_meta_loss",
                "Mean query loss after adaptation, over the last second's iterations.",
                MetricType::Gauge),
      meta_accuracy(
          "innerloop_meta_accuracy",
          "Mean query accuracy after adaptation (0..1), over the last second's iterations.",
          MetricType::Gauge),
      support_loss("innerloop_support_loss",
                   "Mean support loss before and after adaptation, of training tasks.",
                   MetricType::Gauge),
      query_loss("innerloop_query_loss",
                 "Mean query loss before and after adaptation, of training tasks.",
                 MetricType::Gauge),
      update_norm("innerloop_update_norm",
                  "Euclidean norm of the mean update before clipping, over the last second.",
                  MetricType::Gauge),
      learning_rate("innerloop_learning_rate", "The outer optimiser's learning rate.",
                    MetricType::Gauge),
      evaluation_loss("innerloop_evaluation_loss",
                      "Mean loss after `step` inner steps in the latest scheduled evaluation.",
                      MetricType::Gauge),
      evaluation_accuracy(
          "innerloop_evaluation_accuracy",
          "Mean accuracy (0..1) after `step` inner steps in the latest scheduled evaluation.",
          MetricType::Gauge),
      evaluation_iteration("innerloop_evaluation_iteration",
                           "Version of the parameters in the latest scheduled evaluation.",
                           MetricType::Gauge),
      iterations("innerloop_iterations_total", "Outer steps done.", MetricType::Counter),
      skipped("innerloop_skipped_iterations_total",
              "Iterations without an outer step, because their update was not finite.",
              MetricType::Counter),
      tasks("innerloop_tasks_total", "Training tasks by what became of their result.",
            MetricType::Counter),
      phases("innerloop_iteration_phase_seconds", "Time of an iteration's phases.",
             MetricType::Histogram),
      shards_in_flight("innerloop_shards_in_flight", "Shards that workers have now.",
                       MetricType::Gauge),
      shards_reissued("innerloop_shards_reissued_total",
                      "Shards given out again after a worker or a shard failed.",
                      MetricType::Counter),
      checkpoint_seconds("innerloop_checkpoint_seconds",
                         "Time that the last checkpoint took to write.", MetricType::Gauge),
      checkpoint_timestamp("innerloop_checkpoint_timestamp_seconds",
                           "When the last good checkpoint was written, in Unix time.",
                           MetricType::Gauge),
      checkpoint_age("innerloop_checkpoint_age_seconds",
                     "Time since the last good checkpoint was written.", MetricType::Gauge),
      checkpoint_failures("innerloop_checkpoint_failures_total",
                          "Checkpoints that could not be written.", MetricType::Counter) {}

void JobFamilies::FinishInto(std::vector<prometheus::MetricFamily>& families) && {
  for (FamilyBuilder* family :
       {&meta_loss, &meta_accuracy, &support_loss, &query_loss, &update_norm, &learning_rate,
        &evaluation_loss, &evaluation_accuracy, &evaluation_iteration, &iterations, &skipped,
        &tasks, &phases, &shards_in_flight, &shards_reissued, &checkpoint_seconds,
        &checkpoint_timestamp, &checkpoint_age, &checkpoint_failures}) {
    std::move(*family).FinishInto(families);
  }
}

JobSeries::JobSeries(const Clock& clock)
    : clock_(clock),
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

void JobSeries::OnCheckpoint(absl::Duration took, bool ok) {
  const absl::MutexLock lock(&mutex_);
  if (ok) {
    checkpoint_written_ = clock_.Now();
    checkpoint_took_ = took;
  } else {
    ++checkpoint_failures_;
  }
}

void JobSeries::AddEvaluation(const v1::Evaluation& evaluation, const char* schedule,
                              const Label& job, JobFamilies& families) {
  const std::string split = evaluation.protocol().split() == v1::SPLIT_TRAIN        ? "train"
                            : evaluation.protocol().split() == v1::SPLIT_VALIDATION ? "validation"
                                                                                    : "test";
  const LabelList common = {job, {"schedule", schedule}, {"split", split}};
  families.evaluation_iteration.Add(static_cast<double>(evaluation.iteration()), common);
  for (int i = 0; i < evaluation.steps_size(); ++i) {
    const v1::StepMeasure& measure = evaluation.steps(i);
    if (measure.step() > kShownSteps && i + 1 < evaluation.steps_size()) {
      continue;
    }
    LabelList labels = common;
    labels.push_back({"step", absl::StrCat(measure.step())});
    families.evaluation_loss.Add(measure.loss(), labels);
    if (measure.has_accuracy()) {
      families.evaluation_accuracy.Add(measure.accuracy(), labels);
    }
  }
}

void JobSeries::AddTo(const std::string& job_id, JobFamilies& families) {
  const Label job{"job", job_id};
  families.iterations.Add(iterations_.Collect(), {job});
  families.skipped.Add(skipped_.Collect(), {job});
  families.tasks.Add(counted_.Collect(), {job, {"outcome", "counted"}});
  families.tasks.Add(failed_.Collect(), {job, {"outcome", "failed"}});
  families.tasks.Add(stale_.Collect(), {job, {"outcome", "stale"}});
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    families.phases.Add(phases_[phase].Collect(), {job, {"phase", kPhaseNames[phase]}});
  }
  families.shards_in_flight.Add(shards_in_flight_.Collect(), {job});
  families.shards_reissued.Add(reissued_.Collect(), {job});

  const absl::Duration now = clock_.Monotonic();
  const absl::MutexLock lock(&mutex_);
  // Iterations that take long, or that ended, close no window themselves.
  if (!window_closed_ || now - window_start_ >= kWindow) {
    CloseWindow(now);
    window_closed_ = meta_loss_.shown.has_value();
  }
  AddIfShown(families.meta_loss, meta_loss_.shown, {job});
  AddIfShown(families.meta_accuracy, meta_accuracy_.shown, {job});
  AddIfShown(families.support_loss, support_loss_before_.shown, {job, {"adaptation", "before"}});
  AddIfShown(families.support_loss, support_loss_after_.shown, {job, {"adaptation", "after"}});
  AddIfShown(families.query_loss, query_loss_before_.shown, {job, {"adaptation", "before"}});
  AddIfShown(families.query_loss, meta_loss_.shown, {job, {"adaptation", "after"}});
  AddIfShown(families.update_norm, update_norm_.shown, {job});
  AddIfShown(families.learning_rate, learning_rate_.shown, {job});
  if (periodic_.has_value()) {
    AddEvaluation(*periodic_, "periodic", job, families);
  }
  if (final_.has_value()) {
    AddEvaluation(*final_, "final", job, families);
  }
  if (checkpoint_written_.has_value()) {
    families.checkpoint_seconds.Add(absl::ToDoubleSeconds(checkpoint_took_), {job});
    families.checkpoint_timestamp.Add(
        absl::ToDoubleSeconds(*checkpoint_written_ - absl::UnixEpoch()), {job});
    families.checkpoint_age.Add(absl::ToDoubleSeconds(clock_.Now() - *checkpoint_written_), {job});
  }
  families.checkpoint_failures.Add(checkpoint_failures_, {job});
}

}  // namespace innerloop::server
