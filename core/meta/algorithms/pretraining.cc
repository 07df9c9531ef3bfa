#include "core/meta/algorithms/pretraining.h"

#include <utility>

#include "core/meta/algorithms/evaluation.h"
#include "core/meta/objectives/loss.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

Examples Together(const Examples& a, const Examples& b) {
  return {.inputs = at::cat({a.inputs, b.inputs}, 1),
          .targets = at::cat({a.targets, b.targets}, 1),
          .weights = a.weights.defined() ? at::cat({a.weights, b.weights}, 1) : Tensor()};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Algorithm>> PretrainingAlgorithm::Create(const v1::JobSpec& resolved,
                                                                        const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(
      Learner learner,
      CreateLearner(resolved, shape, resolved.algorithm().pretraining().inner_optimizer(),
                    /*differentiated=*/false));
  return std::unique_ptr<Algorithm>(new PretrainingAlgorithm(std::move(learner)));
}

void PretrainingAlgorithm::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                                      Tensors& updates, TaskSums& sums) const {
  TaskBatch all = tasks;
  all.query = Together(tasks.support, tasks.query);
  Adapted unadapted;
  unadapted.initial = ExpandToTasks(theta, tasks.tasks());
  unadapted.adapted = unadapted.initial;
  unadapted.query_outputs = learner_.model->Forward(unadapted.initial, all.query.inputs, {});
  unadapted.query_losses = TaskLosses(learner_.loss, unadapted.query_outputs, all.query);
  AddTaskSums(torch::autograd::grad({unadapted.query_losses}, unadapted.initial,
                                    {at::ones_like(unadapted.query_losses)},
                                    /*retain_graph=*/false, /*create_graph=*/false,
                                    /*allow_unused=*/true),
              updates);
  AddMeasures(learner_, unadapted, all, detailed, sums);
  sums.meta_loss += SumOf(unadapted.query_losses);
}

void PretrainingAlgorithm::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                                    const EvaluationRule& rule, const EvaluationSink& sink) const {
  EvaluateAdaptation(learner_, theta, tasks, rule, sink);
}

AdaptedTask PretrainingAlgorithm::Adapt(const Tensors& theta, const OwnTask& task,
                                        const EvaluationRule& rule) const {
  return AdaptToOwnTask(learner_, theta, task, rule);
}

}  // namespace innerloop::meta
