#include "core/meta/algorithms/maml.h"

#include <utility>

#include "core/meta/algorithms/evaluation.h"
#include "core/meta/objectives/loss.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// v <- v - rate * H v, where H is the Hessian of the losses whose `gradients` by `parameters` carry
// a graph. v may be undefined in places (zero).
void SubtractHessianProduct(const Tensors& parameters, const Tensors& gradients, double rate,
                            Tensors& v) {
  Tensors outputs;
  Tensors directions;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (v[i].defined() && gradients[i].defined() && gradients[i].requires_grad()) {
      outputs.push_back(gradients[i]);
      directions.push_back(v[i]);
    }
  }
  if (outputs.empty()) {
    return;
  }
  const Tensors products =
      torch::autograd::grad(outputs, parameters, directions, /*retain_graph=*/false,
                            /*create_graph=*/false, /*allow_unused=*/true);
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < v.size(); ++i) {
    if (products[i].defined()) {
      v[i] = v[i].defined() ? at::sub(v[i], products[i], rate) : products[i] * -rate;
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Algorithm>> MamlAlgorithm::Create(const v1::JobSpec& resolved,
                                                                 const TaskShape& shape) {
  const v1::Maml& spec = resolved.algorithm().maml();
  if (spec.order() == v1::Maml::ORDER_HVP && !spec.inner_optimizer().has_sgd()) {
    return absl::InvalidArgumentError(
        "algorithm.maml.order is ORDER_HVP, which is for algorithm.maml.inner_optimizer.sgd alone; "
        "take ORDER_SECOND for another inner optimiser");
  }
  INNERLOOP_ASSIGN_OR_RETURN(
      Learner learner, CreateLearner(resolved, shape, spec.inner_optimizer(),
                                     /*differentiated=*/spec.order() != v1::Maml::ORDER_FIRST));
  return std::unique_ptr<Algorithm>(new MamlAlgorithm(spec, std::move(learner)));
}

void MamlAlgorithm::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                               Tensors& updates, TaskSums& sums) const {
  Tensors initial = ExpandToTasks(theta, tasks.tasks());
  MetaGradient result;
  switch (spec_.order()) {
    case v1::Maml::ORDER_FIRST:
      result = FirstOrder(std::move(initial), tasks);
      break;
    case v1::Maml::ORDER_HVP:
      result = ByHessianProducts(std::move(initial), tasks);
      break;
    default:
      result = ThroughGraph(std::move(initial), tasks);
      break;
  }
  AddTaskSums(result.gradients, updates);
  AddMeasures(learner_, result.adapted, tasks, detailed, sums);
}

MamlAlgorithm::MetaGradient MamlAlgorithm::ThroughGraph(Tensors initial,
                                                        const TaskBatch& tasks) const {
  Tensors parameters = initial;
  InnerOptimizer::State state = learner_.optimizer->Begin();
  for (uint32_t step = 0; step < spec_.inner_steps(); ++step) {
    const LossGradients support =
        Differentiate(learner_, parameters, tasks.support, /*create_graph=*/true);
    parameters = learner_.optimizer->Step(parameters, support.gradients, state);
  }
  const Tensors variables = initial;
  return QueryGradient(std::move(initial), std::move(parameters), variables, tasks);
}

MamlAlgorithm::MetaGradient MamlAlgorithm::FirstOrder(Tensors initial,
                                                      const TaskBatch& tasks) const {
  Tensors parameters = initial;
  InnerOptimizer::State state = learner_.optimizer->Begin();
  for (uint32_t step = 0; step < spec_.inner_steps(); ++step) {
    const LossGradients support =
        Differentiate(learner_, parameters, tasks.support, /*create_graph=*/false);
    parameters = DetachedStep(learner_, parameters, support.gradients, state);
  }
  const Tensors variables = parameters;
  return QueryGradient(std::move(initial), std::move(parameters), variables, tasks);
}

// With theta_{k+1} = theta_k - rate * g(theta_k), the derivative of a step is I - rate * H_k, which
// is symmetric: the meta-gradient is (I - rate H_0) ... (I - rate H_{K-1}) v, where v is the query
// loss's gradient at theta_K. Each factor is a Hessian-vector product, for which the step's graph
// is made once more: one step's activations at a time, besides the parameters before each step.
MamlAlgorithm::MetaGradient MamlAlgorithm::ByHessianProducts(Tensors initial,
                                                             const TaskBatch& tasks) const {
  const double rate = spec_.inner_optimizer().sgd().learning_rate();
  std::vector<Tensors> path = {std::move(initial)};
  Tensors gradients;
  InnerOptimizer::State state = learner_.optimizer->Begin();
  for (uint32_t step = 0; step < spec_.inner_steps(); ++step) {
    // The last step's graph is the first one wanted.
    const bool last = step + 1 == spec_.inner_steps();
    gradients = Differentiate(learner_, path.back(), tasks.support, last).gradients;
    path.push_back(DetachedStep(learner_, path.back(), gradients, state));
  }
  const Tensors variables = path.back();
  MetaGradient result = QueryGradient(path.front(), variables, variables, tasks);
  for (path.pop_back();;) {
    SubtractHessianProduct(path.back(), gradients, rate, result.gradients);
    path.pop_back();
    if (path.empty()) {
      return result;
    }
    gradients =
        Differentiate(learner_, path.back(), tasks.support, /*create_graph=*/true).gradients;
  }
}

MamlAlgorithm::MetaGradient MamlAlgorithm::QueryGradient(Tensors initial, Tensors parameters,
                                                         const Tensors& variables,
                                                         const TaskBatch& tasks) const {
  MetaGradient result;
  Adapted& adapted = result.adapted;
  adapted.initial = std::move(initial);
  adapted.adapted = std::move(parameters);
  adapted.query_outputs = learner_.model->Forward(adapted.adapted, tasks.query.inputs, {});
  adapted.query_losses = TaskLosses(learner_.loss, adapted.query_outputs, tasks.query);
  result.gradients = torch::autograd::grad(
      {adapted.query_losses}, variables, {at::ones_like(adapted.query_losses)},
      /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  return result;
}

void MamlAlgorithm::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                             const EvaluationRule& rule, const EvaluationSink& sink) const {
  EvaluateAdaptation(learner_, theta, tasks, rule, sink);
}

}  // namespace innerloop::meta
