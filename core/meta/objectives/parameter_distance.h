// 1/2 ||theta - theta'||^2.
#pragma once

#include <memory>

#include "core/meta/objectives/objective_term.h"

namespace innerloop::meta {

std::unique_ptr<ObjectiveTerm> CreateParameterDistance(const v1::ParameterDistance& resolved);

// [T]: the sum of the squares of each task's values over all tensors; all are [T, ...].
Tensor SquaredNorms(const Tensors& tensors);

}  // namespace innerloop::meta
