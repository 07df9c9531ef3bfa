#include "client/local/local_run.h"

#include <cstdlib>
#include <utility>

#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// An iteration of a large job may take long; a second Ctrl-C ends the wait.
constexpr absl::Duration kStopPatience = absl::Minutes(2);

}  // namespace

LocalRun::LocalRun(Cancellation& cancellation)
    : cancellation_(cancellation), signals_([this](int count) { OnSignal(count); }) {}

LocalRun::~LocalRun() {
  const absl::MutexLock lock(&mu_);
  running_ = nullptr;
}

absl::Status LocalRun::Start(LocalClusterOptions options) {
  INNERLOOP_ASSIGN_OR_RETURN(cluster_, LocalCluster::Start(std::move(options), cancellation_));
  const absl::MutexLock lock(&mu_);
  running_ = cluster_.get();
  return absl::OkStatus();
}

bool LocalRun::Stop() { return cluster_->Stop(kStopPatience); }

void LocalRun::OnSignal(int count) {
  if (count == 1) {
    cancellation_.Cancel(absl::CancelledError("interrupted"));
    return;
  }
  const absl::MutexLock lock(&mu_);
  if (running_ != nullptr) {
    running_->Kill();
  }
}

}  // namespace innerloop::client
