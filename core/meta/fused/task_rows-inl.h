// The examples of the task at hand in padded rows. Compiled once for each instruction set; includes
// no LibTorch.
#if defined(INNERLOOP_FUSED_TASK_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INNERLOOP_FUSED_TASK_ROWS_INL_H_
#undef INNERLOOP_FUSED_TASK_ROWS_INL_H_
#else
#define INNERLOOP_FUSED_TASK_ROWS_INL_H_
#endif

#include <cstring>

#include "core/meta/fused/arena.h"
#include "core/meta/fused/example_rows.h"
#include "core/meta/fused/mlp_shape.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {

// The support or the query set of one task after another.
class TaskRows {
 public:
  TaskRows(const MlpShape& shape, const ExampleArrays& arrays, Arena& arena)
      : first_(shape.layers.front()), last_(shape.last()), arrays_(arrays) {
    inputs_ = arena.Take(arrays.count * first_.padded_inputs);
    values_ = arena.Take(arrays.values == nullptr ? 0 : arrays.count * last_.padded_outputs);
    shares_ = arena.Take(arrays.count);
  }

  void Load(size_t task) {
    const size_t n = arrays_.count;
    CopyRows(arrays_.inputs + task * n * first_.inputs, n, first_.inputs, first_.padded_inputs,
             inputs_);
    loss_ = {n, values_, nullptr, shares_};
    if (arrays_.values != nullptr) {
      CopyRows(arrays_.values + task * n * last_.outputs, n, last_.outputs, last_.padded_outputs,
               values_);
    } else {
      loss_.classes = arrays_.classes + task * n;
    }
    const float* weights = arrays_.weights == nullptr ? nullptr : arrays_.weights + task * n;
    float total = static_cast<float>(n);
    if (weights != nullptr) {
      total = 0;
      for (size_t i = 0; i < n; ++i) {
        total += weights[i];
      }
    }
    for (size_t i = 0; i < n; ++i) {
      shares_[i] = (weights == nullptr ? 1.0f : weights[i]) / (total > 0 ? total : 1.0f);
    }
  }

  size_t count() const { return arrays_.count; }
  const float* inputs() const { return inputs_; }
  const LossRows& loss() const { return loss_; }

 private:
  static void CopyRows(const float* from, size_t rows, size_t width, size_t padded, float* to) {
    for (size_t i = 0; i < rows; ++i) {
      std::memcpy(to + i * padded, from + i * width, width * sizeof(float));
    }
  }

  const LayerShape& first_;
  const LayerShape& last_;
  const ExampleArrays& arrays_;
  float* inputs_;
  float* values_;
  float* shares_;
  LossRows loss_;
};

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#endif  // include guard of each instruction set
