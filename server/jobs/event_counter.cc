#include "server/jobs/event_counter.h"

namespace innerloop::server {

void EventCounter::Bump(const std::string& job_id) {
  absl::MutexLock lock(&mu_);
  ++counters_[job_id].number;
  changed_.SignalAll();
}

void EventCounter::SetEnded(const std::string& job_id, bool ended) {
  absl::MutexLock lock(&mu_);
  Counter& counter = counters_[job_id];
  ++counter.number;
  counter.ended = ended;
  changed_.SignalAll();
}

void EventCounter::Remove(const std::string& job_id) {
  absl::MutexLock lock(&mu_);
  counters_.erase(job_id);
  changed_.SignalAll();
}

uint64_t EventCounter::Await(const std::string& job_id, uint64_t seen, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::MutexLock lock(&mu_);
  while (true) {
    const auto it = counters_.find(job_id);
    if (it == counters_.end()) {
      return 0;
    }
    if (it->second.number > seen || it->second.ended || changed_.WaitWithDeadline(&mu_, deadline)) {
      return it->second.number;
    }
  }
}

}  // namespace innerloop::server
