#include "worker/slot_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace innerloop::worker {

SlotPool::SlotPool(int slots, std::function<void()> prepare, const Clock& clock, Metrics& metrics)
    : prepare_(std::move(prepare)), clock_(clock), metrics_(metrics) {
  metrics_.OnSlots(slots);
  {
    absl::MutexLock lock(&mu_);
    computing_.resize(static_cast<size_t>(slots));
  }
  for (int i = 0; i < slots; ++i) {
    threads_.emplace_back([this, i] { RunThread(i); });
  }
}

SlotPool::~SlotPool() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    wake_.SignalAll();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void SlotPool::Submit(SlotTask task) {
  absl::MutexLock lock(&mu_);
  queue_.push_back(std::move(task));
  wake_.Signal();
}

bool SlotPool::Remove(const void* owner, uint64_t work_id) {
  SlotTask removed;  // destroyed without the lock
  absl::MutexLock lock(&mu_);
  const auto it = std::find_if(queue_.begin(), queue_.end(), [&](const SlotTask& task) {
    return task.owner == owner && task.work_id == work_id;
  });
  if (it == queue_.end()) {
    return false;
  }
  removed = std::move(*it);
  queue_.erase(it);
  return true;
}

std::vector<uint64_t> SlotPool::RemoveAll(const void* owner) {
  std::deque<SlotTask> removed;  // destroyed without the lock
  std::vector<uint64_t> ids;
  absl::MutexLock lock(&mu_);
  std::deque<SlotTask> kept;
  for (SlotTask& task : queue_) {
    if (task.owner == owner) {
      ids.push_back(task.work_id);
      removed.push_back(std::move(task));
    } else {
      kept.push_back(std::move(task));
    }
  }
  queue_ = std::move(kept);
  return ids;
}

std::optional<std::string> SlotPool::Overdue() const {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < computing_.size(); ++i) {
    if (computing_[i].has_value() && now - computing_[i]->began > computing_[i]->limit) {
      return absl::StrCat("slot ", i, " hangs: ", computing_[i]->what, " has been computing for ",
                          absl::FormatDuration(now - computing_[i]->began), ", longer than ",
                          absl::FormatDuration(computing_[i]->limit));
    }
  }
  return std::nullopt;
}

void SlotPool::RunThread(int index) {
  prepare_();
  Slot slot(*this, index);
  while (true) {
    SlotTask task;
    {
      absl::MutexLock lock(&mu_);
      while (queue_.empty() && !stopping_) {
        wake_.Wait(&mu_);
      }
      if (stopping_) {
        return;
      }
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    metrics_.OnSlotBusy(1);
    task.run(slot);
    task = {};  // what it holds goes before the slot counts as free
    metrics_.OnSlotBusy(-1);
  }
}

void Slot::BeginComputing(std::string what, absl::Duration limit) {
  const absl::Duration now = pool_.clock_.Monotonic();
  absl::MutexLock lock(&pool_.mu_);
  pool_.computing_[static_cast<size_t>(index_)] = {std::move(what), now, limit};
}

absl::Duration Slot::EndComputing() {
  const absl::Duration now = pool_.clock_.Monotonic();
  absl::MutexLock lock(&pool_.mu_);
  auto& computing = pool_.computing_[static_cast<size_t>(index_)];
  const absl::Duration took = now - computing->began;
  computing.reset();
  return took;
}

}  // namespace innerloop::worker
