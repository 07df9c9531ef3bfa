// Derivatives by automatic differentiation against finite differences.
#pragma once

#include <functional>

#include "core/meta/tensors.h"

namespace innerloop::meta {

// A scalar function of some float64 tensors.
using ScalarFunction = std::function<Tensor(const Tensors&)>;

// Expects the first `orders` derivatives of `function` at `inputs` to agree with central
// differences of the derivative before, each along random directions. Derivative k is taken without
// a graph, as users of that order take it. The differences' own error is about 1e-9 of the
// function's scale, which sets the tolerance.
void ExpectDerivatives(const ScalarFunction& function, const Tensors& inputs, int orders,
                       double tolerance = 2e-7);

// sum(t * w) with fixed random w: makes every element of t count differently.
Tensor Weigh(const Tensor& t);

}  // namespace innerloop::meta
