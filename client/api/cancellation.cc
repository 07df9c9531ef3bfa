#include "client/api/cancellation.h"

#include <algorithm>
#include <utility>

namespace innerloop::client {

void Cancellation::Cancel(absl::Status why) {
  const absl::MutexLock lock(&mu_);
  if (!why_.ok()) {
    return;
  }
  why_ = std::move(why);
  for (grpc::ClientContext* call : calls_) {
    call->TryCancel();
  }
}

absl::Status Cancellation::status() const {
  const absl::MutexLock lock(&mu_);
  return why_;
}

absl::Status Cancellation::Sleep(absl::Duration duration) const {
  const absl::MutexLock lock(&mu_);
  const auto cancelled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !why_.ok(); };
  mu_.AwaitWithTimeout(absl::Condition(&cancelled), duration);
  return why_;
}

Cancellation::Scope::Scope(Cancellation& cancellation, grpc::ClientContext& context)
    : cancellation_(cancellation), context_(context) {
  const absl::MutexLock lock(&cancellation_.mu_);
  cancellation_.calls_.push_back(&context_);
  if (!cancellation_.why_.ok()) {
    context_.TryCancel();
  }
}

Cancellation::Scope::~Scope() {
  const absl::MutexLock lock(&cancellation_.mu_);
  auto& calls = cancellation_.calls_;
  calls.erase(std::find(calls.begin(), calls.end(), &context_));
}

}  // namespace innerloop::client
