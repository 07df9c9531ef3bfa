// A thread for what must not be done under the coordinator's lock and by nobody's thread in
// particular.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace innerloop::server {

// Runs errands one after the other: the durable endings of jobs, which wait for the disk.
// Thread-safe.
class Errands {
 public:
  Errands();
  // Runs what is left, then ends the thread.
  ~Errands();
  void Post(std::function<void()> errand);

 private:
  void Run();

  absl::Mutex mu_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace innerloop::server
