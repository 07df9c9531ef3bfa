// How tasks are adapted to and what they return to the outer step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/meta/algorithms/own_task.h"
#include "core/meta/models/model.h"
#include "core/meta/tasks/task_source.h"
#include "core/meta/tensors.h"
#include "innerloop/v1/tensor.pb.h"

namespace innerloop::meta {

// A tensor of the meta-parameters.
struct MetaParameter {
  v1::TensorSpec spec;
  Initialiser initialiser;
};

// Sums over tasks, added to by each chunk. NaN where not measured.
struct TaskSums {
  double meta_loss = 0;
  double meta_accuracy = 0;
  double support_loss_before = 0;
  double support_loss_after = 0;
  double query_loss_before = 0;
};

// After `step` inner steps: losses [T], and accuracies [T] (undefined for regression), float64 on
// the CPU.
using EvaluationSink =
    std::function<void(int64_t step, const Tensor& losses, const Tensor& accuracies)>;

// How an evaluation adapts.
struct EvaluationRule {
  int64_t steps = 0;
  v1::Transduction transduction = v1::TRANSDUCTION_ALL_QUERIES;
  // Most halvings of a step that raises a task's support loss; 0 takes steps as they are.
  int64_t line_search = 0;
};

// A method. The meta-parameters are whatever it meta-learns; the sum of its tasks' updates has
// their shapes, and the outer optimiser descends along it. Computes in the floating type of what it
// is given. Immutable; its functions may be called from several threads at once. LibTorch's
// exceptions pass through.
class Algorithm {
 public:
  virtual ~Algorithm() = default;
  virtual const std::vector<MetaParameter>& meta_parameters() const = 0;
  // What adapts to tasks, or embeds them.
  virtual const Model& model() const = 0;
  // Sizes of training tasks, given the job's.
  virtual TaskSizes TrainingSizes(const TaskSizes& sizes) const { return sizes; }
  // Whether evaluations may have other ways than training.
  virtual bool AnyWays() const { return false; }
  // Adds the sum of the tasks' updates to `updates`, and their measures to `sums`; `detailed` asks
  // for those that cost extra time. `theta` and `updates` have one tensor for each meta-parameter,
  // without a task dimension; theta's do not require gradients.
  virtual void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                          Tensors& updates, TaskSums& sums) const = 0;
  // Adapts to each task and measures its queries after each of 0..rule.steps inner steps.
  virtual void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                        const EvaluationSink& sink) const = 0;
  // Adapts to a task as evaluations do. Of models that tell more classes apart than the task has,
  // the first `classes` outputs are used, and no others.
  virtual AdaptedTask Adapt(const Tensors& theta, const OwnTask& task,
                            const EvaluationRule& rule) const = 0;
};

// The resolved job's algorithm over its model. INVALID_ARGUMENT names the field of the spec.
absl::StatusOr<std::unique_ptr<Algorithm>> CreateAlgorithm(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);

}  // namespace innerloop::meta
