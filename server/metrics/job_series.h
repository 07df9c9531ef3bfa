#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/support/clock.h"
#include "server/metrics/exposition.h"
#include "server/metrics/metrics.h"

namespace innerloop::server {

// The families that have a `job` label, while a page is put together. One thread only.
class JobFamilies {
 public:
  JobFamilies();
  void FinishInto(std::vector<prometheus::MetricFamily>& families) &&;

  FamilyBuilder meta_loss, meta_accuracy, support_loss, query_loss, update_norm, learning_rate;
  FamilyBuilder evaluation_loss, evaluation_accuracy, evaluation_iteration;
  FamilyBuilder iterations, skipped, tasks, phases, shards_in_flight, shards_reissued;
  FamilyBuilder checkpoint_seconds, checkpoint_timestamp, checkpoint_age, checkpoint_failures;
};

// One job's numbers. The coordinator reports to it from any thread, at the rate of iterations; the
// page reads it. It outlives its removal from the page for as long as the coordinator holds it.
// Thread-safe.
class JobSeries final : public JobMetrics {
 public:
  explicit JobSeries(const Clock& clock);

  void OnIteration(const v1::IterationRecord& record) override;
  void OnPhase(Phase phase, absl::Duration time) override;
  void OnEvaluation(const v1::Evaluation& evaluation) override;
  void OnShardsInFlight(int change) override;
  void OnShardReissued() override;
  void OnTasks(const char* outcome, uint64_t tasks) override;
  void OnCheckpoint(absl::Duration took, bool ok) override;

  void AddTo(const std::string& job_id, JobFamilies& families);

 private:
  // The mean of what came in since the window began, and that of the window before, which is shown.
  struct Mean {
    double sum = 0;
    double count = 0;
    std::optional<double> shown;
    void Add(double value) {
      sum += value;
      ++count;
    }
    void Close();
  };
  void CloseWindow(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void AddEvaluation(const v1::Evaluation& evaluation, const char* schedule,
                            const prometheus::ClientMetric::Label& job, JobFamilies& families);

  const Clock& clock_;

  prometheus::Counter iterations_, skipped_, reissued_;
  prometheus::Counter counted_, failed_, stale_;
  prometheus::Gauge shards_in_flight_;
  std::array<prometheus::Histogram, 4> phases_;

  absl::Mutex mutex_;
  absl::Duration window_start_ ABSL_GUARDED_BY(mutex_);
  bool window_closed_ ABSL_GUARDED_BY(mutex_) = false;
  Mean meta_loss_ ABSL_GUARDED_BY(mutex_);
  Mean meta_accuracy_ ABSL_GUARDED_BY(mutex_);
  Mean support_loss_before_ ABSL_GUARDED_BY(mutex_);
  Mean support_loss_after_ ABSL_GUARDED_BY(mutex_);
  Mean query_loss_before_ ABSL_GUARDED_BY(mutex_);
  Mean update_norm_ ABSL_GUARDED_BY(mutex_);
  Mean learning_rate_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Evaluation> periodic_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Evaluation> final_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Time> checkpoint_written_ ABSL_GUARDED_BY(mutex_);
  absl::Duration checkpoint_took_ ABSL_GUARDED_BY(mutex_);
  double checkpoint_failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace innerloop::server
