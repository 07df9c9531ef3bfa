// What meta-training minimises.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/meta/objectives/objective_term.h"
#include "core/meta/tasks/task_source.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::meta {

// The weighted sum of a job's terms. An algorithm calls it once per chunk: it splits the support
// sets, adapts to them, and differentiates the values either through the paths' graph (Values) or
// point by point (ValuesAt, DifferentiateAt). Immutable; any thread.
class MetaObjective {
 public:
  // The query loss alone where the objective has no terms. INVALID_ARGUMENT names the term.
  static absl::StatusOr<MetaObjective> Create(const v1::MetaObjective& resolved);

  bool needs_every_point() const { return needs_every_point_; }
  // Of training tasks, where `sizes` are those that a term's inner loop is to see: twice the shots
  // where a term needs a second support set.
  TaskSizes TrainingSizes(const TaskSizes& sizes) const;
  // Of tasks drawn with TrainingSizes.
  SupportSets SupportSetsOf(const TaskBatch& tasks) const;

  // [T]: the sum over all points.
  Tensor Values(InnerLoops& loops) const;
  // [T]: what point `step` (1 .. K) adds; undefined when nothing.
  Tensor ValuesAt(size_t step, InnerLoops& loops) const;

 private:
  struct WeightedTerm {
    double weight;
    std::unique_ptr<ObjectiveTerm> term;
  };
  explicit MetaObjective(std::vector<WeightedTerm> terms);

  std::vector<WeightedTerm> terms_;
  bool needs_second_support_ = false;
  bool needs_every_point_ = false;
};

// Direct derivatives of what a point adds, each task's by its own parameters, where the paths'
// points are leaves. Undefined where there are none.
struct PointGradients {
  Tensors start;   // by the first point
  Tensors point;   // by the path's point `step`
  Tensors second;  // by that of the path from the second support set; empty without one
};
// Frees the graph of `values`.
PointGradients DifferentiateAt(size_t step, const InnerLoops& loops, const Tensor& values);

// sums[i] += more[i], where undefined is zero; nothing for an empty `more`. Without gradients.
void AddWhereDefined(const Tensors& more, Tensors& sums);

}  // namespace innerloop::meta
