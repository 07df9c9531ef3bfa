// 3x3 convolution of task-batched images with padding 1.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

// images [T, n, H, W, C], weight [T, 9 * C, F] (row (3 ky + kx) C + c for channel c of the window's
// pixel (ky, kx)), bias [T, F] or undefined; returns [T, n, Ho, Wo, F] with
// Ho = (H - 1) / stride + 1. Differentiable any number of times: a convolution and its gradients
// for images and weight are three functions whose derivatives are each other. Each is a matrix
// product over one task's windows, which stay in the cache that way.
Tensor Convolve3x3(const Tensor& images, const Tensor& weight, const Tensor& bias, int64_t stride);

}  // namespace innerloop::meta
