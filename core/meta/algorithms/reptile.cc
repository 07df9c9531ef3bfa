#include "core/meta/algorithms/reptile.h"

#include "core/meta/algorithms/evaluation.h"
#include "core/meta/algorithms/inner_batches.h"
#include "core/meta/algorithms/inner_paths.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {

absl::StatusOr<std::unique_ptr<Algorithm>> ReptileAlgorithm::Create(const v1::JobSpec& resolved,
                                                                    const TaskShape& shape) {
  const v1::Reptile& spec = resolved.algorithm().reptile();
  std::optional<MetaObjective> objective;
  if (resolved.objective().terms_size() > 0) {
    INNERLOOP_ASSIGN_OR_RETURN(objective, MetaObjective::Create(resolved.objective()));
  }
  INNERLOOP_ASSIGN_OR_RETURN(Learner learner, CreateLearner(resolved, shape, spec.inner_optimizer(),
                                                            /*differentiated=*/false));
  return std::unique_ptr<Algorithm>(
      new ReptileAlgorithm(spec, std::move(learner), std::move(objective)));
}

TaskSizes ReptileAlgorithm::TrainingSizes(const TaskSizes& sizes) const {
  TaskSizes training = sizes;
  if (spec_.train_shots() > 0) {
    training.shots = spec_.train_shots();
  }
  return objective_.has_value() ? objective_->TrainingSizes(training) : training;
}

void ReptileAlgorithm::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                                  Tensors& updates, TaskSums& sums) const {
  const Tensors initial = ExpandToTasks(theta, tasks.tasks());
  if (objective_.has_value()) {
    AddObjectiveGradients(initial, objective_->SupportSetsOf(tasks), detailed, updates, sums);
  } else {
    AddWays(initial, tasks, detailed, updates, sums);
  }
}

InnerPath ReptileAlgorithm::PathOf(const Tensors& initial, const TaskBatch& tasks,
                                   bool every_point) const {
  InnerBatches batches(tasks, spec_.inner_batch());
  return DetachedPath(learner_, initial, spec_.inner_steps(), every_point,
                      [&] { return batches.Next(); });
}

void ReptileAlgorithm::AddWays(const Tensors& initial, const TaskBatch& tasks, bool detailed,
                               Tensors& updates, TaskSums& sums) const {
  InnerLoops loops(*learner_.model, learner_.loss, tasks,
                   PathOf(initial, tasks, /*every_point=*/false));
  const torch::NoGradGuard no_grad;
  const Tensors& adapted = loops.path().points.back();
  Tensors way;
  way.reserve(initial.size());
  for (size_t i = 0; i < initial.size(); ++i) {
    way.push_back(initial[i] - adapted[i]);
  }
  AddTaskSums(way, updates);
  AddMeasures(learner_, loops, detailed, sums);
  sums.meta_loss += SumOf(loops.QueriesAt(loops.steps()).losses);
}

void ReptileAlgorithm::AddObjectiveGradients(const Tensors& initial, const SupportSets& sets,
                                             bool detailed, Tensors& updates,
                                             TaskSums& sums) const {
  const bool every_point = objective_->needs_every_point();
  InnerPath second;
  if (sets.second.has_value()) {
    TaskBatch other = sets.tasks;
    other.support = *sets.second;
    second = PathOf(initial, other, every_point);
  }
  InnerLoops loops(*learner_.model, learner_.loss, sets.tasks,
                   PathOf(initial, sets.tasks, every_point), std::move(second));
  const MetaGradient result = FirstOrderGradient(*objective_, loops);
  AddTaskSums(result.gradients, updates);
  AddMeasures(learner_, loops, detailed, sums);
  sums.meta_loss += SumOf(result.values);
}

void ReptileAlgorithm::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                                const EvaluationRule& rule, const EvaluationSink& sink) const {
  EvaluateAdaptation(learner_, theta, tasks, rule, sink);
}

AdaptedTask ReptileAlgorithm::Adapt(const Tensors& theta, const OwnTask& task,
                                    const EvaluationRule& rule) const {
  return AdaptToOwnTask(learner_, theta, task, rule);
}

}  // namespace innerloop::meta
