#include "core/meta/memory_estimate.h"

#include "core/meta/memory_meter.h"

namespace innerloop::meta {
namespace {

// What is no burden to take once before a job starts.
constexpr int64_t kTried = int64_t{256} << 20;

int64_t PeakOf(int64_t tasks, absl::FunctionRef<void(int64_t tasks)> compute) {
  const MemoryMeter meter;
  compute(tasks);
  return meter.peak();
}

}  // namespace

int64_t EstimatePeak(int64_t tasks, absl::FunctionRef<void(int64_t tasks)> compute) {
  if (tasks <= 3) {
    return PeakOf(tasks, compute);
  }
  const int64_t two = PeakOf(2, compute);
  if (two * tasks <= 2 * kTried) {
    return PeakOf(tasks, compute);
  }
  return two + (tasks - 2) * (PeakOf(3, compute) - two);
}

}  // namespace innerloop::meta
