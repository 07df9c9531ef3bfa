// Activation functions of the models.
#pragma once

#include <string>

#include "core/meta/tensors.h"

namespace innerloop::meta {

Tensor Activate(v1::Activation activation, const Tensor& x);
// As a line of a ModelScript.
std::string ActivationScript(v1::Activation activation);

// The slope below 0 of a piecewise linear activation, which batch norm can take along (see
// BatchNormOptions); 1 for the others, which are then applied afterwards.
double NegativeSlope(v1::Activation activation);

}  // namespace innerloop::meta
