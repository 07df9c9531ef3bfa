// 2x2 max-pooling.
#pragma once

#include "core/meta/tensors.h"

namespace innerloop::meta {

// images [N, H, W, C] -> [N, H / 2, W / 2, C], rounded down: the largest of each 2x2 window, the
// first of equal ones. Differentiable any number of times.
Tensor MaxPool2x2(const Tensor& images);

}  // namespace innerloop::meta
