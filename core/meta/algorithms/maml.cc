#include "core/meta/algorithms/maml.h"

#include <optional>

#include "core/meta/algorithms/evaluation.h"
#include "core/meta/algorithms/sgd_backward.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// As ExpandToTasks, but without copies.
Tensors SharedLeaves(const Tensors& theta, int64_t tasks) {
  Tensors leaves = ShareAmongTasks(theta, tasks);
  for (Tensor& leaf : leaves) {
    leaf = leaf.detach().requires_grad_();
  }
  return leaves;
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
  INNERLOOP_ASSIGN_OR_RETURN(MetaObjective objective, MetaObjective::Create(resolved.objective()));
  INNERLOOP_ASSIGN_OR_RETURN(
      Learner learner, CreateLearner(resolved, shape, spec.inner_optimizer(),
                                     /*differentiated=*/spec.order() != v1::Maml::ORDER_FIRST));
  return std::unique_ptr<Algorithm>(
      new MamlAlgorithm(spec, std::move(learner), std::move(objective)));
}

TaskSizes MamlAlgorithm::TrainingSizes(const TaskSizes& sizes) const {
  return objective_.TrainingSizes(sizes);
}

void MamlAlgorithm::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                               Tensors& updates, TaskSums& sums) const {
  const SupportSets sets = objective_.SupportSetsOf(tasks);
  switch (spec_.order()) {
    case v1::Maml::ORDER_FIRST:
      FirstOrder(ExpandToTasks(theta, tasks.tasks()), sets, detailed, updates, sums);
      break;
    case v1::Maml::ORDER_HVP:
      ByHessianProducts(SharedLeaves(theta, tasks.tasks()), sets, detailed, updates, sums);
      break;
    default:
      ThroughGraph(ExpandToTasks(theta, tasks.tasks()), sets, detailed, updates, sums);
      break;
  }
}

void MamlAlgorithm::ThroughGraph(const Tensors& initial, const SupportSets& sets, bool detailed,
                                 Tensors& updates, TaskSums& sums) const {
  const auto path = [&](const Examples& support) {
    return PathWithGraph(learner_, initial, support, spec_.inner_steps(),
                         objective_.needs_every_point());
  };
  InnerLoops loops = LoopsOf(sets, path(sets.tasks.support),
                             sets.second.has_value() ? path(*sets.second) : InnerPath());
  const Tensor values = objective_.Values(loops);
  AddTaskSums(torch::autograd::grad({values}, initial, {at::ones_like(values)},
                                    /*retain_graph=*/false, /*create_graph=*/false,
                                    /*allow_unused=*/true),
              updates);
  AddMeasures(learner_, loops, detailed, sums);
  sums.meta_loss += SumOf(values);
}

void MamlAlgorithm::FirstOrder(const Tensors& initial, const SupportSets& sets, bool detailed,
                               Tensors& updates, TaskSums& sums) const {
  const auto path = [&](const Examples& support) {
    return DetachedPath(learner_, initial, spec_.inner_steps(), objective_.needs_every_point(),
                        [&] { return support; });
  };
  InnerLoops loops = LoopsOf(sets, path(sets.tasks.support),
                             sets.second.has_value() ? path(*sets.second) : InnerPath());
  const MetaGradient result = FirstOrderGradient(objective_, loops);
  AddTaskSums(result.gradients, updates);
  AddMeasures(learner_, loops, detailed, sums);
  sums.meta_loss += SumOf(result.values);
}

// What each point adds to the objective joins the recursion when it arrives there; it is forgotten
// when the recursion has left it.
void MamlAlgorithm::ByHessianProducts(const Tensors& initial, const SupportSets& sets,
                                      bool detailed, Tensors& updates, TaskSums& sums) const {
  const auto go = [&](const Examples& support) {
    return SgdBackward(learner_, spec_.inner_optimizer(), support, initial, spec_.inner_steps());
  };
  SgdBackward first = go(sets.tasks.support);
  std::optional<SgdBackward> second;
  if (sets.second.has_value()) {
    second.emplace(go(*sets.second));
  }
  InnerLoops loops =
      LoopsOf(sets, first.TakePath(), second.has_value() ? second->TakePath() : InnerPath());
  Tensors by_start(initial.size());
  for (size_t step = loops.steps(); step > 0; --step) {
    if (const Tensor values = objective_.ValuesAt(step, loops); values.defined()) {
      const PointGradients direct = DifferentiateAt(step, loops, values);
      AddWhereDefined(direct.point, first.gradient());
      AddWhereDefined(direct.start, by_start);
      if (second.has_value()) {
        AddWhereDefined(direct.second, second->gradient());
      }
      sums.meta_loss += SumOf(values);
    }
    if (step == loops.steps()) {
      AddMeasures(learner_, loops, detailed, sums);
    }
    loops.Forget(step);
    first.StepBack(loops.path().points[step - 1]);
    if (second.has_value()) {
      second->StepBack(loops.second().points[step - 1]);
    }
  }
  AddWhereDefined(by_start, first.gradient());
  if (second.has_value()) {
    AddWhereDefined(second->gradient(), first.gradient());
  }
  AddTaskSums(first.gradient(), updates);
}

void MamlAlgorithm::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                             const EvaluationRule& rule, const EvaluationSink& sink) const {
  EvaluateAdaptation(learner_, theta, tasks, rule, sink);
}

AdaptedTask MamlAlgorithm::Adapt(const Tensors& theta, const OwnTask& task,
                                 const EvaluationRule& rule) const {
  return AdaptToOwnTask(learner_, theta, task, rule);
}

}  // namespace innerloop::meta
