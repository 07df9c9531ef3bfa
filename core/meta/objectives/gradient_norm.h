// 1/2 ||g||^2, g the gradient of the query loss at the adapted parameters.
#pragma once

#include <memory>

#include "core/meta/objectives/objective_term.h"

namespace innerloop::meta {

// Its derivative by theta' is H g, H the query loss's Hessian at theta'.
std::unique_ptr<ObjectiveTerm> CreateGradientNorm();

}  // namespace innerloop::meta
