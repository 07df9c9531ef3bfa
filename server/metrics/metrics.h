// What the coordinator shows to Prometheus; core/metrics/coordinator_metrics.h defines the series.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// Phases of an iteration, for innerloop_iteration_phase_seconds.
enum class Phase { kCompute, kReduce, kOuterStep, kTotal };

// Why a worker's connection ended: it had drained, its stream broke, it gave no sign of life, a
// shard took it too long.
enum class Gone { kLeft, kLost, kSilent, kHung };

// How far a job is.
struct Progress {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  uint64_t iteration = 0;
  uint64_t iterations = 0;
  // No worker can do its work.
  bool waiting = false;
};

// A job's series, resolved once. Thread-safe, cheap (atomics). Gauges that show losses are means
// over the iterations of the last second.
class JobMetrics {
 public:
  virtual ~JobMetrics() = default;
  // What the job is; also when that was changed.
  virtual void OnSpec(const v1::JobSpec& spec) = 0;
  virtual void OnProgress(const Progress& progress) = 0;
  virtual void OnIteration(const v1::IterationRecord& record) = 0;
  virtual void OnPhase(Phase phase, absl::Duration time) = 0;
  virtual void OnEvaluation(const v1::Evaluation& evaluation) = 0;
  virtual void OnShardsInFlight(int change) = 0;
  virtual void OnShardReissued() = 0;
  // outcome: "counted", "failed", "stale".
  virtual void OnTasks(const char* outcome, uint64_t tasks) = 0;
  // `took` is not known of a checkpoint that was found at a start.
  virtual void OnCheckpoint(const v1::CheckpointInfo& written,
                            std::optional<absl::Duration> took) = 0;
  virtual void OnCheckpointFailed() = 0;
};

// The page and its web server. Made by the server; told by the coordinator. Thread-safe.
class Metrics {
 public:
  // Serves `listen` ("host:port", port 0: any; empty: nothing is served). UNAVAILABLE names the
  // address when it cannot be bound. Of `state_dir` the page shows how full its disk is, of the
  // coordinator's certificate its end.
  static absl::StatusOr<std::unique_ptr<Metrics>> Create(
      const std::string& listen, const std::string& state_dir,
      absl::Time certificate_end = absl::InfiniteFuture(), const Clock& clock = Clock::Real());
  virtual ~Metrics() = default;
  // host:port that is served; empty when none is.
  virtual std::string address() const = 0;
  virtual std::shared_ptr<JobMetrics> ForJob(const std::string& job_id) = 0;
  // Removes the series of a job.
  virtual void Remove(const std::string& job_id) = 0;
  virtual void OnWorkers(int connected, int draining, int lost, int slots, int busy_slots) = 0;
  virtual void OnWorkerConnected() = 0;
  virtual void OnWorkerGone(Gone reason) = 0;
  virtual void OnBytes(uint64_t sent, uint64_t received) = 0;
  virtual void OnJobs(v1::JobState state, int count) = 0;
};

}  // namespace innerloop::server
