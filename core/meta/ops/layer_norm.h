// Layer norm (Ba et al. 2016) of images.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

// x [T, n, L, C], scale and shift [T, C]; returns [T, n, L, C]: each example normalised over its L
// places and C channels together (biased variance, epsilon 1e-5), then scaled and shifted by
// channel. Differentiable any number of times.
Tensor LayerNorm(const Tensor& x, const Tensor& scale, const Tensor& shift);

}  // namespace innerloop::meta
