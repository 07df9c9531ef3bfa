// The inner loop without a method: what gradient-based methods share.
#pragma once

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/algorithms/inner_optimizer.h"
#include "core/meta/models/model.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// What adapts to a task. Immutable; any thread.
struct Learner {
  std::unique_ptr<Model> model;
  v1::LossSpec loss;
  std::unique_ptr<InnerOptimizer> optimizer;
};

// The learner of a resolved job. `differentiated` as for CreateInnerOptimizer. INVALID_ARGUMENT
// names the field of the spec.
absl::StatusOr<Learner> CreateLearner(const v1::JobSpec& resolved, const TaskShape& shape,
                                      const v1::InnerOptimizer& optimizer, bool differentiated);

// Adds parameters as meta-parameters whose names begin with `prefix`, e.g. "model.".
void AddMetaParameters(absl::string_view prefix, absl::Span<const ModelParameter> added,
                       std::vector<MetaParameter>& parameters);

// The model's parameters as meta-parameters "model.NAME".
std::vector<MetaParameter> ModelMetaParameters(const Model& model);

// A view [T, ...shape] of each of theta: T tasks that share their values. Differentiable.
Tensors ShareAmongTasks(absl::Span<const Tensor> theta, int64_t tasks);
// A leaf [T, ...shape] for each of theta: T tasks' own parameters, contiguous, requiring gradients.
Tensors ExpandToTasks(const Tensors& theta, int64_t tasks);

struct LossGradients {
  Tensor losses;      // [T], each task's mean loss
  Tensors gradients;  // of each task's loss by its own parameters; undefined where it has none
};
// `create_graph`: the gradients can be differentiated themselves.
LossGradients Differentiate(const Learner& learner, const Tensors& parameters,
                            const Examples& examples, bool create_graph);

// The parameters after a step along `gradients`, as leaves that know nothing of the step before.
Tensors DetachedStep(const Learner& learner, const Tensors& parameters, const Tensors& gradients,
                     InnerOptimizer::State& state);

// Adds [T, ...] tensors, summed over their tasks, to `updates`; undefined ones count as zero.
void AddTaskSums(const Tensors& updates_of_tasks, Tensors& updates);

// A chunk's inner loops, for AddMeasures.
struct Adapted {
  Tensors initial;  // [T, ...]
  Tensors adapted;  // [T, ...]
  // Of the queries, at `adapted`.
  Tensor query_outputs;
  Tensor query_losses;
};
// Adds the tasks' measures but for the meta-losses to `sums`; those that `detailed` asks for take
// three more forward passes.
void AddMeasures(const Learner& learner, const Adapted& adapted, const TaskBatch& tasks,
                 bool detailed, TaskSums& sums);

// The sum of a [T] tensor's values, in order, in float64.
double SumOf(const Tensor& values);

}  // namespace innerloop::meta
