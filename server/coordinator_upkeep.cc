// What operators call.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

// How often jobs are looked for that have been over for longer than --job-retention.
constexpr absl::Duration kCollectEvery = absl::Minutes(1);

}  // namespace

Garbage::Jobs CoordinatorImpl::JobsOfGarbage() {
  Garbage::Jobs jobs;
  absl::MutexLock lock(&mu_);
  for (const auto& [id, entry] : jobs_) {
    if (entry.runner == nullptr) {
      jobs.ended.push_back(entry.row);
      continue;
    }
    const v1::Job row = entry.runner->Row();
    jobs.under_way.push_back(row.spec());
    if (auto from = BeginsFrom(row); from.has_value()) {
      jobs.pinned.insert(*std::move(from));
    }
  }
  for (const auto& requested : requested_) {
    const v1::Evaluation& evaluation = requested.run->evaluation();
    jobs.pinned.emplace(evaluation.job_id(), evaluation.iteration());
    jobs.under_way.push_back(requested.run->description().spec());
  }
  for (const auto& requested : adaptations_) {
    jobs.under_way.push_back(requested.run->description().spec());
  }
  return jobs;
}

absl::StatusOr<v1::CollectGarbageResponse> CoordinatorImpl::CollectGarbage(
    const v1::CollectGarbageRequest& request) {
  absl::MutexLock submit_lock(&submit_mu_);
  Garbage garbage(deps_.checkpoints, deps_.data_sets, JobsOfGarbage(), deps_.clock.Now());
  const auto delete_job = [this](const std::string& id) {
    submit_mu_.AssertHeld();
    return DeleteEnded(id);
  };
  INNERLOOP_RETURN_IF_ERROR(garbage.Find(request, delete_job));
  if (!request.dry_run()) {
    INNERLOOP_RETURN_IF_ERROR(garbage.Remove());
  }
  v1::CollectGarbageResponse response = garbage.response();
  if (!request.dry_run()) {
    for (const v1::CollectGarbageResponse::Item& item : response.items()) {
      spdlog::info("{} {} is removed: {}", item.kind(), item.name(), item.why());
    }
  }
  return response;
}

void CoordinatorImpl::CollectOldJobs() {
  if (options_.job_retention <= absl::ZeroDuration() || Now() < collect_at_ || stopping_) {
    return;
  }
  collect_at_ = Now() + kCollectEvery;
  errands_.Post([this] {
    v1::CollectGarbageRequest request;
    request.set_jobs_older_than_seconds(absl::ToDoubleSeconds(options_.job_retention));
    const absl::StatusOr<v1::CollectGarbageResponse> removed = CollectGarbage(request);
    if (!removed.ok()) {
      spdlog::error("old jobs stay: {}", removed.status().ToString());
    }
  });
}

absl::Status CoordinatorImpl::HoldStill(std::function<absl::Status()> work) {
  absl::MutexLock submit_lock(&submit_mu_);
  return deps_.recorder.Pause(std::move(work));
}

}  // namespace innerloop::server
