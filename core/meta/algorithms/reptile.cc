#include "core/meta/algorithms/reptile.h"

#include <utility>

#include "core/meta/algorithms/evaluation.h"
#include "core/meta/algorithms/inner_batches.h"
#include "core/meta/objectives/loss.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {

absl::StatusOr<std::unique_ptr<Algorithm>> ReptileAlgorithm::Create(const v1::JobSpec& resolved,
                                                                    const TaskShape& shape) {
  const v1::Reptile& spec = resolved.algorithm().reptile();
  INNERLOOP_ASSIGN_OR_RETURN(Learner learner, CreateLearner(resolved, shape, spec.inner_optimizer(),
                                                            /*differentiated=*/false));
  return std::unique_ptr<Algorithm>(new ReptileAlgorithm(spec, std::move(learner)));
}

TaskSizes ReptileAlgorithm::TrainingSizes(const TaskSizes& sizes) const {
  TaskSizes training = sizes;
  if (spec_.train_shots() > 0) {
    training.shots = spec_.train_shots();
  }
  return training;
}

void ReptileAlgorithm::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                                  Tensors& updates, TaskSums& sums) const {
  Adapted adapted;
  adapted.initial = ExpandToTasks(theta, tasks.tasks());
  adapted.adapted = adapted.initial;
  InnerBatches batches(tasks, spec_.inner_batch());
  InnerOptimizer::State state = learner_.optimizer->Begin();
  for (uint32_t step = 0; step < spec_.inner_steps(); ++step) {
    const LossGradients training =
        Differentiate(learner_, adapted.adapted, batches.Next(), /*create_graph=*/false);
    adapted.adapted = DetachedStep(learner_, adapted.adapted, training.gradients, state);
  }
  const torch::NoGradGuard no_grad;
  Tensors way;
  way.reserve(theta.size());
  for (size_t i = 0; i < theta.size(); ++i) {
    way.push_back(adapted.initial[i] - adapted.adapted[i]);
  }
  AddTaskSums(way, updates);
  adapted.query_outputs = learner_.model->Forward(adapted.adapted, tasks.query.inputs, {});
  adapted.query_losses = TaskLosses(learner_.loss, adapted.query_outputs, tasks.query);
  AddMeasures(learner_, adapted, tasks, detailed, sums);
}

void ReptileAlgorithm::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                                const EvaluationRule& rule, const EvaluationSink& sink) const {
  EvaluateAdaptation(learner_, theta, tasks, rule, sink);
}

}  // namespace innerloop::meta
