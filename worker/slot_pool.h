// The compute threads of a worker.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "worker/metrics.h"

namespace innerloop::worker {

class Slot;

// A work item on its way to a slot.
struct SlotTask {
  // The session it belongs to, as an identity.
  const void* owner = nullptr;
  uint64_t work_id = 0;
  // Called in a slot's thread.
  std::function<void(Slot&)> run;
};

// Runs tasks on a fixed number of threads, first come, first served; outlives sessions, whose
// running tasks cannot be stopped. Used by Session and Worker; thread-safe.
class SlotPool {
 public:
  // `prepare` is called once in each thread before its first task.
  SlotPool(int slots, std::function<void()> prepare, const Clock& clock, Metrics& metrics);
  // Waits for running tasks; queued ones are dropped.
  ~SlotPool();

  void Submit(SlotTask task);
  // Takes a task back; false when it has begun (or is unknown).
  bool Remove(const void* owner, uint64_t work_id);
  // Takes back all of a session's tasks that have not begun; their work ids in order.
  std::vector<uint64_t> RemoveAll(const void* owner);
  int slots() const { return static_cast<int>(threads_.size()); }
  // What hangs, in one line: a slot that computes for longer than it was given.
  std::optional<std::string> Overdue() const;

 private:
  friend class Slot;
  void RunThread(int index);

  const std::function<void()> prepare_;
  const Clock& clock_;
  Metrics& metrics_;

  mutable absl::Mutex mu_;
  absl::CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<SlotTask> queue_ ABSL_GUARDED_BY(mu_);
  struct Computing {
    std::string what;
    absl::Duration began;
    absl::Duration limit = absl::InfiniteDuration();
  };
  std::vector<std::optional<Computing>> computing_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

// What a running task sees of its slot. One thread only.
class Slot {
 public:
  // Computing begins, of something that people know as `what`; past `limit` it counts as hanging.
  void BeginComputing(std::string what, absl::Duration limit);
  // Time since BeginComputing.
  absl::Duration EndComputing();

 private:
  friend class SlotPool;
  Slot(SlotPool& pool, int index) : pool_(pool), index_(index) {}
  SlotPool& pool_;
  const int index_;
};

}  // namespace innerloop::worker
