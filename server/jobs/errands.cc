#include "server/jobs/errands.h"

#include <utility>

namespace innerloop::server {

Errands::Errands() : thread_([this] { Run(); }) {}

Errands::~Errands() {
  {
    absl::MutexLock lock(&mu_);
    closing_ = true;
  }
  thread_.join();
}

void Errands::Post(std::function<void()> errand) {
  absl::MutexLock lock(&mu_);
  waiting_.push_back(std::move(errand));
}

void Errands::Run() {
  while (true) {
    std::function<void()> next;
    {
      absl::MutexLock lock(&mu_);
      const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return closing_ || !waiting_.empty();
      };
      mu_.Await(absl::Condition(&ready));
      if (waiting_.empty()) {
        return;
      }
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next();
  }
}

}  // namespace innerloop::server
