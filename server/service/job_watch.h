#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "innerloop/v1/training.pb.h"
#include "server/service/training_service.h"

namespace innerloop::server {

// What one watcher of a job has not been told yet. Its stream's thread only.
class JobWatch {
 public:
  JobWatch(const TrainingService::Parts& parts, std::string job_id, uint64_t from_iteration)
      : parts_(parts), job_id_(std::move(job_id)), from_(from_iteration), next_(from_iteration) {}

  // The next message: at most 1,000 iterations, a megabyte of evaluations, and the job when it
  // changed. NOT_FOUND when there is no such job (any more).
  absl::StatusOr<v1::JobEvents> Next();
  // The last message was full: more is there already.
  bool more() const { return more_; }
  // The last message was the last one.
  bool ended() const { return ended_; }

 private:
  absl::Status AddIterations(v1::JobEvents& events);
  // Those that are new become unsent.
  absl::Status FindEvaluations(const v1::Job& job, bool last);
  void Take(const v1::Evaluation& evaluation);
  void AddEvaluations(v1::JobEvents& events);

  const TrainingService::Parts parts_;
  const std::string job_id_;
  const uint64_t from_;
  // The first iteration that was not sent.
  uint64_t next_;
  // Serialised, as the watcher knows them.
  std::string job_;
  std::string latest_evaluations_;
  bool asked_for_evaluations_ = false;
  // By version and kind.
  std::set<std::pair<uint64_t, int>> evaluations_;
  std::deque<v1::Evaluation> unsent_;
  bool more_ = false;
  bool ended_ = false;
};

}  // namespace innerloop::server
