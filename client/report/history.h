// What a coordinator knows of a job, as far as a report shows it.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/api/training_client.h"
#include "client/api/upkeep_client.h"
#include "client/render/curve.h"
#include "innerloop/v1/log.pb.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

struct MeasureCurve {
  // "meta_loss": the name in IterationRecord, or "iteration_seconds".
  std::string key;
  // In 0..1, shown in percent.
  bool fraction = false;
  Curve curve;
};

// One thread only.
class JobHistory {
 public:
  JobHistory();

  void Add(const v1::JobEvents& events);
  void Add(const v1::LogEntry& entry);

  const v1::Job& job() const { return job_; }
  // Of at most 2,000 points each; without those that the job does not measure.
  std::vector<MeasureCurve> Curves() const;
  // Those of the schedule.
  const std::vector<v1::Evaluation>& evaluations() const { return evaluations_; }
  // The last 2,000 entries.
  const std::deque<v1::LogEntry>& log() const { return log_; }
  // Iterations told of so far: the next one's number.
  uint64_t next_iteration() const { return next_iteration_; }

 private:
  v1::Job job_;
  std::vector<MeasureCurve> curves_;
  std::vector<v1::Evaluation> evaluations_;
  std::deque<v1::LogEntry> log_;
  uint64_t next_iteration_ = 0;
  double seconds_ = 0;
};

// All that was recorded until now; the job may go on. INVALID_ARGUMENT when it has done no
// iteration. A coordinator that keeps no logs gives none.
absl::StatusOr<JobHistory> FetchHistory(const std::string& id, TrainingClient& client,
                                        UpkeepClient& upkeep);

}  // namespace innerloop::client
