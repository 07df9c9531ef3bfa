// How often a process may die before it is left dead.
#pragma once

#include <deque>

#include "absl/time/time.h"

namespace innerloop::client {

// Allows some deaths in a sliding window, so that a process that dies once an hour is restarted for
// ever and one that dies at once is not. Pure: told the time. One thread only.
class RestartBudget {
 public:
  RestartBudget(int restarts, absl::Duration window) : restarts_(restarts), window_(window) {}

  // A process died at `now`: whether it may be started again.
  bool Allows(absl::Duration now) {
    while (!deaths_.empty() && now - deaths_.front() > window_) {
      deaths_.pop_front();
    }
    deaths_.push_back(now);
    return static_cast<int>(deaths_.size()) <= restarts_;
  }

 private:
  const int restarts_;
  const absl::Duration window_;
  std::deque<absl::Duration> deaths_;
};

}  // namespace innerloop::client
