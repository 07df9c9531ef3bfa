// 3x3 convolution of task-batched images with padding 1.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

// The 3x3 windows of images [N, H, W, C] at every stride-th pixel, padding 1, as rows of a matrix:
// [N, Ho * Wo, 9 * C] with Ho = (H - 1) / stride + 1; the C channels of a window's nine pixels
// follow each other line by line. Differentiable any number of times.
Tensor Windows3x3(const Tensor& images, int64_t stride);

// images [T, n, H, W, C], weight [T, 9 * C, F] (rows in the order of Windows3x3), bias [T, F] or
// undefined; returns [T, n, Ho, Wo, F]. Differentiable any number of times. A convolution as
// matrix product: batched products of one task each keep the math library at its full speed, where
// a grouped convolution's second derivative loops over the groups.
Tensor Convolve3x3(const Tensor& images, const Tensor& weight, const Tensor& bias, int64_t stride);

}  // namespace innerloop::meta
