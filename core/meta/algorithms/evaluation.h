// Measuring what an inner loop achieves on tasks that nothing is learned from.
#pragma once

#include "core/meta/algorithms/adaptation.h"

namespace innerloop::meta {

// Algorithm::Evaluate for methods that adapt theta by the learner's optimiser on the support set.
void EvaluateAdaptation(const Learner& learner, const Tensors& theta, const TaskBatch& tasks,
                        const EvaluationRule& rule, const EvaluationSink& sink);

// The queries' outputs [T, n, O] at the parameters [T, ...], where queries may influence each other
// as `transduction` has it. Without gradients.
Tensor QueryOutputs(const Model& model, const Tensors& parameters, const TaskBatch& tasks,
                    v1::Transduction transduction);

}  // namespace innerloop::meta
