#include "core/meta/fused/maml_engine.h"

#include <vector>

#include "core/meta/fused/arena.h"

// Instruction sets that add nothing here. (The kernels need vectors of a size known when compiled.)
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/meta/fused/maml_engine.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "core/meta/fused/inner_loop-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {

float* PackTheta(const MlpShape& shape, const ConstParameterArrays& theta, Arena& arena) {
  float* packed = arena.Take(shape.parameters);
  for (size_t l = 0; l < shape.layers.size(); ++l) {
    PackLayer(shape.layers[l], theta[2 * l], theta[2 * l + 1], packed);
  }
  return packed;
}

void AddTo(float* HWY_RESTRICT sum, const float* HWY_RESTRICT addend, size_t size) {
  const FloatTag d;
  for (size_t j = 0; j < size; j += kLanes) {
    hn::Store(hn::Add(hn::Load(d, sum + j), hn::Load(d, addend + j)), d, sum + j);
  }
}

MamlMeasures AddMamlUpdates(const MlpShape& shape, const MamlRule& rule,
                            const ConstParameterArrays& theta, const TaskArrays& tasks,
                            bool detailed, const ParameterArrays& updates, Arena& arena) {
  InnerLoop loop(shape, rule, PackTheta(shape, theta, arena), tasks, arena);
  float* sum = arena.Take(shape.parameters);
  const bool first_order = rule.order == MamlRule::Order::kFirst;
  MamlMeasures measures;
  for (size_t task = 0; task < tasks.tasks; ++task) {
    loop.Load(task);
    if (detailed) {
      measures.query_loss_before += loop.QueryLossAfter(0);
    }
    for (size_t k = 0; k < rule.inner_steps; ++k) {
      const double loss = loop.Step(k);
      measures.support_loss_before += k == 0 ? loss : 0;
    }
    if (detailed) {
      measures.support_loss_after += loop.SupportLossAfter(rule.inner_steps);
    }
    measures.meta_loss +=
        first_order ? loop.QueryGradient(sum, sum) : loop.QueryGradient(nullptr, loop.direction());
    if (shape.loss == Loss::kCrossEntropy) {
      measures.meta_accuracy += loop.QueryAccuracy();
    }
    if (!first_order) {
      for (size_t k = rule.inner_steps; k > 0; --k) {
        loop.TakeBack(k - 1);
      }
      AddTo(sum, loop.direction(), shape.parameters);
    }
  }
  for (size_t l = 0; l < shape.layers.size(); ++l) {
    AddUnpackedLayer(shape.layers[l], sum, updates[2 * l], updates[2 * l + 1]);
  }
  return measures;
}

void EvaluateMaml(const MlpShape& shape, const MamlRule& rule, const ConstParameterArrays& theta,
                  const TaskArrays& tasks, double* losses, double* accuracies, Arena& arena) {
  InnerLoop loop(shape, rule, PackTheta(shape, theta, arena), tasks, arena);
  for (size_t task = 0; task < tasks.tasks; ++task) {
    loop.Load(task);
    for (size_t k = 0; k <= rule.inner_steps; ++k) {
      losses[k * tasks.tasks + task] = loop.QueryLossAfter(k);
      if (shape.loss == Loss::kCrossEntropy) {
        accuracies[k * tasks.tasks + task] = loop.QueryAccuracy();
      }
      if (k < rule.inner_steps) {
        loop.Step(k);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace innerloop::meta::fused {
namespace {

HWY_EXPORT(AddMamlUpdates);
HWY_EXPORT(EvaluateMaml);

Arena& EmptyArenaOfThisThread() {
  thread_local Arena arena;
  arena.Reset();
  return arena;
}

}  // namespace

MamlMeasures AddMamlUpdates(const MlpShape& shape, const MamlRule& rule,
                            const ConstParameterArrays& theta, const TaskArrays& tasks,
                            bool detailed, const ParameterArrays& updates) {
  return HWY_DYNAMIC_DISPATCH(AddMamlUpdates)(shape, rule, theta, tasks, detailed, updates,
                                              EmptyArenaOfThisThread());
}

void EvaluateMaml(const MlpShape& shape, const MamlRule& rule, const ConstParameterArrays& theta,
                  const TaskArrays& tasks, double* losses, double* accuracies) {
  MamlRule forward = rule;
  forward.order = MamlRule::Order::kFirst;
  HWY_DYNAMIC_DISPATCH(EvaluateMaml)
  (shape, forward, theta, tasks, losses, accuracies, EmptyArenaOfThisThread());
}

}  // namespace innerloop::meta::fused
#endif  // HWY_ONCE
