#pragma once

#include <array>
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

// One job's numbers. The coordinator reports to it from any thread, at the rate of iterations; the
// page reads it. It outlives its removal from the page for as long as the coordinator holds it.
// Thread-safe.
class JobSeries final : public JobMetrics {
 public:
  explicit JobSeries(const Clock& clock);

  void OnSpec(const v1::JobSpec& spec) override;
  void OnProgress(const Progress& progress) override;
  void OnIteration(const v1::IterationRecord& record) override;
  void OnPhase(Phase phase, absl::Duration time) override;
  void OnEvaluation(const v1::Evaluation& evaluation) override;
  void OnShardsInFlight(int change) override;
  void OnShardReissued() override;
  void OnTasks(const char* outcome, uint64_t tasks) override;
  void OnCheckpoint(const v1::CheckpointInfo& written, std::optional<absl::Duration> took) override;
  void OnCheckpointFailed() override;

  void AddTo(const std::string& job_id, Families& families);

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
  void AddMeasures(const std::string& job_id, Families& families)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddCheckpoint(const std::string& job_id, Families& families)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  const absl::Time begun_;

  prometheus::Counter iterations_, skipped_, reissued_;
  prometheus::Counter counted_, failed_, stale_;
  prometheus::Gauge shards_in_flight_;
  std::array<prometheus::Histogram, 4> phases_;

  absl::Mutex mutex_;
  // Of what the job is: innerloop_job_info's labels behind the first.
  LabelValues description_ ABSL_GUARDED_BY(mutex_);
  double checkpoint_interval_ ABSL_GUARDED_BY(mutex_) = 0;
  // What is minimised is the query loss.
  bool query_loss_alone_ ABSL_GUARDED_BY(mutex_) = true;
  Progress progress_ ABSL_GUARDED_BY(mutex_);
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
  std::optional<v1::CheckpointInfo> checkpoint_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Duration> checkpoint_took_ ABSL_GUARDED_BY(mutex_);
  double checkpoint_failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace innerloop::server
