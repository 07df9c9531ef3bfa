#include "core/meta/memory_meter.h"

#include <algorithm>

#include <c10/core/Allocator.h>

namespace innerloop::meta {

// Called by LibTorch's allocator, in the thread that the counter was set for.
class MemoryMeter::Counter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    held_ += bytes;
    peak_ = std::max(peak_, held_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  int64_t held_ = 0;
  int64_t peak_ = 0;
};

MemoryMeter::MemoryMeter()
    : counter_(std::make_shared<Counter>()), scope_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

int64_t MemoryMeter::peak() const { return counter_->peak(); }

}  // namespace innerloop::meta
