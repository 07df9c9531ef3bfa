// The few-shot field's usual network: four blocks [3x3 convolution -> norm -> ReLU] and an affine
// head, over images [H, W, C] of any size.
#pragma once

#include "core/meta/models/model.h"

namespace innerloop::meta {

// Parameters, for blocks i = 1..4: "convI.weight" [9 * in, filters], whose row (3 ky + kx) in + c
// holds the weights of channel c of the window's pixel (ky, kx) (a convolution is a matrix product
// over windows of images with channels last, so no transposition is ever needed); "convI.bias"
// [filters] unless batch norm follows, which would take it out again; "normI.scale" and
// "normI.shift" [filters] unless norm is NONE; then "head.weight" [features, outputs] and
// "head.bias". A FLATTEN head's features are ordered (row, column, channel).
absl::StatusOr<std::unique_ptr<Model>> CreateConv4(const v1::Conv4Model& spec,
                                                   const TaskShape& shape);

}  // namespace innerloop::meta
