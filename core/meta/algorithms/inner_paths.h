// Inner loops that keep their points, and meta-objectives over them.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "core/meta/algorithms/adaptation.h"
#include "core/meta/objectives/meta_objective.h"

namespace innerloop::meta {

// `steps` inner steps from the leaves `initial` on the support set, whose points carry the loop's
// graph.
InnerPath PathWithGraph(const Learner& learner, const Tensors& initial, const Examples& support,
                        int64_t steps, bool every_point);

// The same, where each point is a list of leaves. `next` gives the examples of each step.
InnerPath DetachedPath(const Learner& learner, const Tensors& initial, int64_t steps,
                       bool every_point, absl::FunctionRef<Examples()> next);

// A chunk's inner loops differentiated.
struct MetaGradient {
  Tensor values;      // [T], the objective's, detached
  Tensors gradients;  // by each task's initial parameters; undefined where there are none
};

// Of the objective where the inner gradients count as constants, so that the derivative of each
// point by the first is the identity. The loops' points are leaves.
MetaGradient FirstOrderGradient(const MetaObjective& objective, InnerLoops& loops);

// Adds the tasks' measures but for the meta-losses.
void AddMeasures(const Learner& learner, InnerLoops& loops, bool detailed, TaskSums& sums);

}  // namespace innerloop::meta
