// Measuring what an inner loop achieves on tasks that nothing is learned from.
#pragma once

#include <functional>

#include "absl/functional/function_ref.h"
#include "core/meta/algorithms/adaptation.h"

namespace innerloop::meta {

// The parameters [T, ...], as leaves, after an inner step from `parameters`, where the support set
// has the losses and gradients that are given.
using InnerStep = std::function<Tensors(const Tensors& parameters, const LossGradients& support)>;

// Algorithm::Evaluate for methods that adapt in steps, from `parameters` [T, ...] on.
void EvaluateSteps(const Learner& learner, Tensors parameters, const TaskBatch& tasks,
                   const EvaluationRule& rule, const InnerStep& step, const EvaluationSink& sink);

// Algorithm::Evaluate for methods that adapt theta by the learner's optimiser on the support set.
void EvaluateAdaptation(const Learner& learner, const Tensors& theta, const TaskBatch& tasks,
                        const EvaluationRule& rule, const EvaluationSink& sink);

// Algorithm::Adapt for methods that adapt in steps, from `parameters` [1, ...] on.
AdaptedTask AdaptInSteps(const Learner& learner, Tensors parameters, const OwnTask& task,
                         const EvaluationRule& rule, const InnerStep& step);

// Algorithm::Adapt for methods that adapt theta by the learner's optimiser.
AdaptedTask AdaptToOwnTask(const Learner& learner, const Tensors& theta, const OwnTask& task,
                           const EvaluationRule& rule);

// The outputs [q, O] of `forward` for a task's queries, as many at a time as take little memory
// where they do not influence each other. `forward` is given the task with some queries.
Tensor InParts(const OwnTask& task, const EvaluationRule& rule,
               absl::FunctionRef<Tensor(const TaskBatch& task)> forward);

// The queries' outputs [T, n, O] at the parameters [T, ...], where queries may influence each other
// as `transduction` has it. Without gradients.
Tensor QueryOutputs(const Model& model, const Tensors& parameters, const TaskBatch& tasks,
                    v1::Transduction transduction);

// Measures as an EvaluationSink takes them: float64 on the CPU; undefined ones stay so.
Tensor Float64(const Tensor& values);

}  // namespace innerloop::meta
