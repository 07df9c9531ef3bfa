// MAML's inner loop on one task, and the way back through it. Compiled once for each instruction
// set; includes no LibTorch.
#if defined(INNERLOOP_FUSED_INNER_LOOP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INNERLOOP_FUSED_INNER_LOOP_INL_H_
#undef INNERLOOP_FUSED_INNER_LOOP_INL_H_
#else
#define INNERLOOP_FUSED_INNER_LOOP_INL_H_
#endif

#include <algorithm>
#include <vector>

#include "core/meta/fused/arena.h"
#include "core/meta/fused/maml_engine.h"
#include "core/meta/fused/mlp_kernels-inl.h"
#include "core/meta/fused/task_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {

// Holds the memory for one task, and is loaded with one task after another. One thread only.
class InnerLoop {
 public:
  // `theta` is packed.
  InnerLoop(const MlpShape& shape, const MamlRule& rule, const float* theta,
            const TaskArrays& tasks, Arena& arena)
      : shape_(shape),
        rule_(rule),
        support_(shape, tasks.support, arena),
        query_(shape, tasks.query, arena),
        theta_(theta),
        theta_transposes_(arena.Take(shape.transposes)) {
    TransposeWeights(shape, theta, theta_transposes_);
    const size_t steps = std::max<size_t>(rule.inner_steps, 1);
    const bool second = rule.order != MamlRule::Order::kFirst;
    const bool keeps_passes = rule.order == MamlRule::Order::kSecond;
    for (size_t k = 0; k < (second ? steps : 1); ++k) {
      adapted_.push_back(arena.Take(shape.parameters));
    }
    for (size_t k = 0; k < (keeps_passes ? steps : 1); ++k) {
      transposes_.push_back(arena.Take(shape.transposes));
      passes_.push_back(TakePass(support_.count(), arena));
    }
    measuring_pass_ = TakePass(support_.count(), arena);
    query_pass_ = TakePass(query_.count(), arena);
    if (second) {
      const size_t size = support_.count() * shape.columns;
      tangent_ = {arena.Take(shape.transposes), arena.Take(IsCurved(shape.activation) ? size : 0),
                  arena.Take(size), arena.Take(size)};
      direction_ = arena.Take(shape.parameters);
    }
  }

  void Load(size_t task) {
    support_.Load(task);
    query_.Load(task);
  }

  // Step k; returns the support loss before it.
  double Step(size_t k) {
    const double loss = Linearise(k);
    AddGradient(shape_, support_.inputs(), support_.count(), KeptPass(k), -rule_.learning_rate,
                ParametersAfter(k), adapted_[std::min(k, adapted_.size() - 1)]);
    return loss;
  }

  // Losses after k steps.
  double SupportLossAfter(size_t k) const {
    return LossAt(ParametersAfter(k), support_, measuring_pass_);
  }
  double QueryLossAfter(size_t k) const { return LossAt(ParametersAfter(k), query_, query_pass_); }
  // Of the last query loss.
  double QueryAccuracy() const {
    return Accuracy(shape_.last(), query_.loss(), TopRows(query_.count(), query_pass_.outputs));
  }

  // out = base + the query loss's gradient after all steps; returns that loss. `base` may be null.
  double QueryGradient(const float* base, float* out) {
    const size_t k = rule_.inner_steps;
    const double loss = QueryLossAfter(k);
    PropagateDeltas(shape_, Transposed(k), query_.count(), query_pass_);
    AddGradient(shape_, query_.inputs(), query_.count(), query_pass_, 1.0f, base, out);
    return loss;
  }

  // The direction v of the way back. After QueryGradient wrote it, TakeBack(k) of the last step to
  // the first turn it into the meta-gradient.
  float* direction() { return direction_; }
  void TakeBack(size_t k) {
    if (rule_.order == MamlRule::Order::kSecondRecomputed) {
      Linearise(k);
    }
    const Point point = {ParametersAfter(k), TransposesAfter(k)};
    AddHessianProduct(shape_, point, support_.loss(), support_.inputs(), KeptPass(k),
                      -rule_.learning_rate, tangent_, direction_);
  }

 private:
  Pass TakePass(size_t n, Arena& arena) const {
    const size_t top = n * shape_.last().padded_outputs;
    return {arena.Take(n * shape_.columns), arena.Take(n * shape_.columns),
            arena.Take(shape_.loss == Loss::kCrossEntropy ? top : 0)};
  }

  // Of n rows of all layers, the last layer's.
  float* TopRows(size_t n, float* rows) const { return rows + n * shape_.last().columns_before; }

  // With first order there is room for one point, which each step overwrites; what else belongs to
  // a step has room for one step unless all are kept.
  const float* ParametersAfter(size_t k) const {
    return k == 0 ? theta_ : adapted_[std::min(k, adapted_.size()) - 1];
  }
  float* TransposesAfter(size_t k) const {
    return k == 0 ? theta_transposes_ : transposes_[std::min(k, transposes_.size()) - 1];
  }
  const Pass& KeptPass(size_t k) const { return passes_[std::min(k, passes_.size() - 1)]; }

  Point Transposed(size_t k) const {
    if (k > 0) {
      TransposeWeights(shape_, ParametersAfter(k), TransposesAfter(k));
    }
    return {ParametersAfter(k), TransposesAfter(k)};
  }

  // The support loss after k steps, with all that its derivatives need.
  double Linearise(size_t k) {
    const double loss = LossAt(ParametersAfter(k), support_, KeptPass(k));
    PropagateDeltas(shape_, Transposed(k), support_.count(), KeptPass(k));
    return loss;
  }

  // Leaves the outputs and the last layer's deltas in `pass`.
  double LossAt(const float* parameters, const TaskRows& rows, const Pass& pass) const {
    const size_t n = rows.count();
    Forward(shape_, parameters, rows.inputs(), n, pass.outputs);
    return LossGradient(shape_, rows.loss(), TopRows(n, pass.outputs), pass.probabilities,
                        TopRows(n, pass.deltas));
  }

  const MlpShape& shape_;
  const MamlRule& rule_;
  TaskRows support_;
  TaskRows query_;
  // Of the meta-parameters.
  const float* theta_;
  float* theta_transposes_;
  std::vector<float*> adapted_;     // parameters after steps 1, 2, ...
  std::vector<float*> transposes_;  // of their weights
  std::vector<Pass> passes_;        // of the support set at steps 0, 1, ...
  Pass measuring_pass_;
  Pass query_pass_;
  Tangent tangent_;
  float* direction_ = nullptr;
};

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#endif  // include guard of each instruction set
