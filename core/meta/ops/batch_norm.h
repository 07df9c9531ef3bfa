// Batch norm over the rows of each task.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

struct BatchNormOptions {
  // What follows the norm: z where z > 0, else negative_slope * z. 0 is ReLU, 1 no activation.
  double negative_slope = 1;
  // Mean and variance are those of the first so many rows of each task; -1: of all.
  int64_t statistics_rows = -1;
};

// x [T, M, C], scale and shift [T, C]; returns [T, M, C]. Statistics are those of the batch at hand
// (biased variance, epsilon 1e-5), never running ones, and gradients flow through them.
// Differentiable any number of times; the first is a fused kernel, and so is the second where all
// rows give the statistics.
Tensor BatchNorm(const Tensor& x, const Tensor& scale, const Tensor& shift,
                 const BatchNormOptions& options);

}  // namespace innerloop::meta
