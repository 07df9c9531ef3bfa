// What watches wait on.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace innerloop::server {

// A number per job that grows when a watch should look again. It has a lock of its own, so that
// watches that wait cost the training nothing. Thread-safe.
class EventCounter {
 public:
  void Bump(const std::string& job_id);
  // Nobody waits for this job any more, once it ended; until it is bumped again.
  void SetEnded(const std::string& job_id, bool ended);
  void Remove(const std::string& job_id);
  // Waits until the job's number exceeds `seen`, it ended, is unknown, or the timeout. Returns the
  // number.
  uint64_t Await(const std::string& job_id, uint64_t seen, absl::Duration timeout);

 private:
  struct Counter {
    uint64_t number = 0;
    bool ended = false;
  };
  absl::Mutex mu_;
  absl::CondVar changed_;
  std::map<std::string, Counter> counters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::server
