#include "core/meta/memory_estimate.h"

#include "core/meta/memory_meter.h"

namespace innerloop::meta {
namespace {

int64_t PeakOf(int64_t tasks, absl::FunctionRef<void(int64_t tasks)> compute) {
  const MemoryMeter meter;
  compute(tasks);
  return meter.peak();
}

}  // namespace

int64_t EstimatePeak(int64_t tasks, absl::FunctionRef<void(int64_t tasks)> compute) {
  const int64_t one = PeakOf(1, compute);
  return tasks == 1 ? one : one + (tasks - 1) * (PeakOf(2, compute) - one);
}

}  // namespace innerloop::meta
