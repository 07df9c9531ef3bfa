#include <algorithm>
#include <cmath>

#include "server/outer/outer_optimizer.h"
#include "server/outer/portable_math.h"

namespace innerloop::server {
namespace {

// Two of the sums below; a type of the compiler's own, because it leaves plain loops scalar here.
typedef double Pair __attribute__((vector_size(16)));
// Independent sums, so that the additions of one need not wait for those of another; their order
// is fixed by the index alone.
constexpr int64_t kLanes = 16;
constexpr int64_t kPairs = kLanes / 2;

double SumOfSquares(absl::Span<const float> values) {
  Pair pairs[kPairs] = {};
  const auto size = static_cast<int64_t>(values.size());
  const int64_t whole = size - size % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    const float* value = values.data() + i;
#pragma GCC unroll 8
    for (int64_t p = 0; p < kPairs; ++p) {
      const Pair pair = {value[2 * p], value[2 * p + 1]};
      pairs[p] += pair * pair;
    }
  }
  for (int64_t i = whole; i < size; ++i) {
    const double value = values[i];
    pairs[(i - whole) / 2][(i - whole) % 2] += value * value;
  }
  double sum = 0;
  for (const Pair& pair : pairs) {
    sum += pair[0];
    sum += pair[1];
  }
  return sum;
}

}  // namespace

double ScheduleFactor(const v1::LearningRateSchedule& schedule, uint64_t iteration,
                      uint64_t iterations) {
  const double done = iterations == 0 ? 0
                                      : static_cast<double>(std::min(iteration, iterations)) /
                                            static_cast<double>(iterations);
  double factor = 1;
  switch (schedule.kind_case()) {
    case v1::LearningRateSchedule::kLinear:
      factor = 1 + (schedule.linear().end() - 1) * done;
      break;
    case v1::LearningRateSchedule::kCosine: {
      const double end = schedule.cosine().end();
      factor = end + (1 - end) * (1 + CosPi(done)) / 2;
      break;
    }
    case v1::LearningRateSchedule::kStep: {
      const uint64_t every = std::max<uint64_t>(schedule.step().every(), 1);
      factor = IntegerPower(schedule.step().factor(), iteration / every);
      break;
    }
    case v1::LearningRateSchedule::kConstant:
    case v1::LearningRateSchedule::KIND_NOT_SET:
      break;
  }
  if (iteration < schedule.warm_up()) {
    factor *= static_cast<double>(iteration + 1) / static_cast<double>(schedule.warm_up());
  }
  return factor;
}

double UpdateNorm(const Layout& layout, absl::Span<const float> update) {
  double sum = 0;
  for (const TensorEntry& tensor : layout.tensors()) {
    if (tensor.role == v1::TENSOR_ROLE_OPTIMISED) {
      sum += SumOfSquares(update.subspan(tensor.offset, tensor.size));
    }
  }
  return std::sqrt(sum);
}

void ClipUpdate(const v1::OuterOptimizer& spec, const Layout& layout, absl::Span<float> update) {
  if (spec.clip_value() > 0) {
    const auto most = static_cast<float>(spec.clip_value());
    for (const TensorEntry& tensor : layout.tensors()) {
      if (tensor.role != v1::TENSOR_ROLE_OPTIMISED) {
        continue;
      }
      for (float& value : update.subspan(tensor.offset, tensor.size)) {
        value = std::min(std::max(value, -most), most);
      }
    }
  }
  if (spec.clip_norm() > 0) {
    const double norm = UpdateNorm(layout, update);
    if (norm <= spec.clip_norm()) {
      return;
    }
    const auto scale = static_cast<float>(spec.clip_norm() / norm);
    for (const TensorEntry& tensor : layout.tensors()) {
      if (tensor.role != v1::TENSOR_ROLE_OPTIMISED) {
        continue;
      }
      for (float& value : update.subspan(tensor.offset, tensor.size)) {
        value *= scale;
      }
    }
  }
}

}  // namespace innerloop::server
