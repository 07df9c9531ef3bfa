#include "server/service/job_watch.h"

#include <algorithm>
#include <vector>

#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

constexpr size_t kMostIterations = 1000;
constexpr size_t kMostEvaluationBytes = size_t{1} << 20;

bool Ended(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

}  // namespace

absl::Status JobWatch::AddIterations(v1::JobEvents& events) {
  // What waits to be stored first, then the store: a record that moves in between is seen twice,
  // not missed.
  std::vector<v1::IterationRecord> pending = parts_.recorder.Pending(job_id_, next_);
  if (pending.empty() || pending.front().iteration() > next_) {
    INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::IterationRecord> stored,
                               parts_.state.History(job_id_, next_, kMostIterations));
    for (v1::IterationRecord& record : stored) {
      next_ = record.iteration() + 1;
      *events.add_iterations() = std::move(record);
    }
  }
  for (v1::IterationRecord& record : pending) {
    if (static_cast<size_t>(events.iterations_size()) >= kMostIterations) {
      break;
    }
    if (record.iteration() >= next_) {
      next_ = record.iteration() + 1;
      *events.add_iterations() = std::move(record);
    }
  }
  more_ = static_cast<size_t>(events.iterations_size()) >= kMostIterations;
  return absl::OkStatus();
}

void JobWatch::Take(const v1::Evaluation& evaluation) {
  const int kind = (evaluation.periodic() ? 1 : 0) + (evaluation.final() ? 2 : 0);
  if (kind != 0 && evaluation.iteration() >= from_ &&
      evaluations_.emplace(evaluation.iteration(), kind).second) {
    unsent_.push_back(evaluation);
  }
}

absl::Status JobWatch::FindEvaluations(const v1::Job& job, bool last) {
  // The job tells that there are new ones; what waits to be stored comes first, then the store, as
  // for iterations.
  const std::string latest =
      job.last_periodic().SerializeAsString() + job.final().SerializeAsString();
  if (asked_for_evaluations_ && latest == latest_evaluations_ && !last) {
    return absl::OkStatus();
  }
  asked_for_evaluations_ = true;
  latest_evaluations_ = latest;
  std::vector<v1::Evaluation> found = parts_.recorder.PendingEvaluations(job_id_);
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::Evaluation> stored,
                             parts_.state.Evaluations(job_id_, from_));
  found.insert(found.end(), stored.begin(), stored.end());
  if (job.has_last_periodic()) {
    found.push_back(job.last_periodic());
  }
  if (job.has_final()) {
    found.push_back(job.final());
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.iteration() < b.iteration(); });
  for (const v1::Evaluation& evaluation : found) {
    Take(evaluation);
  }
  return absl::OkStatus();
}

void JobWatch::AddEvaluations(v1::JobEvents& events) {
  for (size_t bytes = 0; !unsent_.empty() && bytes < kMostEvaluationBytes; unsent_.pop_front()) {
    bytes += unsent_.front().ByteSizeLong();
    *events.add_evaluations() = std::move(unsent_.front());
  }
}

absl::StatusOr<v1::JobEvents> JobWatch::Next() {
  v1::JobEvents events;
  // The job before its events: once it has ended, all of them are there.
  INNERLOOP_ASSIGN_OR_RETURN(v1::Job job, parts_.coordinator.Get(job_id_));
  INNERLOOP_RETURN_IF_ERROR(AddIterations(events));
  const bool last = Ended(job.state()) && !more_;
  INNERLOOP_RETURN_IF_ERROR(FindEvaluations(job, last));
  AddEvaluations(events);
  more_ = more_ || !unsent_.empty();
  ended_ = last && !more_;
  std::string now = job.SerializeAsString();
  if (ended_ || now != job_) {
    job_ = std::move(now);
    *events.mutable_job() = std::move(job);
  }
  return events;
}

}  // namespace innerloop::server
