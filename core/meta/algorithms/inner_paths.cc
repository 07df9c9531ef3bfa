#include "core/meta/algorithms/inner_paths.h"

#include <utility>

namespace innerloop::meta {

InnerPath PathWithGraph(const Learner& learner, const Tensors& initial, const Examples& support,
                        int64_t steps, bool every_point) {
  InnerPath path{.points = {initial}};
  InnerOptimizer::State state = learner.optimizer->Begin();
  for (int64_t step = 0; step < steps; ++step) {
    const Tensors& parameters = path.points.back();
    const LossGradients loss = Differentiate(learner, parameters, support, /*create_graph=*/true);
    path.Append(learner.optimizer->Step(parameters, loss.gradients, state), every_point);
  }
  return path;
}

InnerPath DetachedPath(const Learner& learner, const Tensors& initial, int64_t steps,
                       bool every_point, absl::FunctionRef<Examples()> next) {
  InnerPath path{.points = {initial}};
  InnerOptimizer::State state = learner.optimizer->Begin();
  for (int64_t step = 0; step < steps; ++step) {
    const Tensors& parameters = path.points.back();
    const LossGradients loss = Differentiate(learner, parameters, next(), /*create_graph=*/false);
    path.Append(DetachedStep(learner, parameters, loss.gradients, state), every_point);
  }
  return path;
}

MetaGradient FirstOrderGradient(const MetaObjective& objective, InnerLoops& loops) {
  MetaGradient result;
  result.gradients.resize(loops.path().points.front().size());
  for (size_t step = loops.steps(); step > 0; --step) {
    const Tensor values = objective.ValuesAt(step, loops);
    if (!values.defined()) {
      continue;
    }
    const PointGradients direct = DifferentiateAt(step, loops, values);
    AddWhereDefined(direct.point, result.gradients);
    AddWhereDefined(direct.start, result.gradients);
    AddWhereDefined(direct.second, result.gradients);
    result.values = result.values.defined() ? result.values + values.detach() : values.detach();
  }
  return result;
}

void AddMeasures(const Learner& learner, InnerLoops& loops, bool detailed, TaskSums& sums) {
  const torch::NoGradGuard no_grad;
  const InnerLoops::Queries& queries = loops.QueriesAt(loops.steps());
  const Adapted adapted{.initial = loops.path().points.front(),
                        .adapted = loops.path().points.back(),
                        .query_outputs = queries.outputs,
                        .query_losses = queries.losses};
  AddMeasures(learner, adapted, loops.tasks(), detailed, sums);
}

}  // namespace innerloop::meta
