// Matrix products of task-batched matrices.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

// a [T, M, K] times b [T, K, N] -> [T, M, N]. As at::bmm, except that gradients of any order have
// the layout of what they are gradients of: at::bmm's come transposed half of the time, and adding
// up or stepping along a transposed gradient is slow.
Tensor MatrixProduct(const Tensor& a, const Tensor& b);

}  // namespace innerloop::meta
