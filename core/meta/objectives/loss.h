// Losses of outputs against targets, a value for each task.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

// [T]: each task's mean over its examples (weighted by examples.weights) and target dimensions.
// outputs [T, n, O]. Twice differentiable.
Tensor TaskLosses(const v1::LossSpec& loss, const Tensor& outputs, const Examples& examples);

// [T]: the fraction of examples whose largest output is their class; targets are classes. Undefined
// for MSE and Huber.
Tensor TaskAccuracies(const v1::LossSpec& loss, const Tensor& outputs, const Examples& examples);

}  // namespace innerloop::meta
