// MAML of small multilayer perceptrons by hand-derived formulas instead of automatic
// differentiation: the algorithm behind ComputeSpec.ENGINE_FUSED.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/meta/algorithms/algorithm.h"

namespace innerloop::meta {

// Whether the fused engine can compute the resolved job: MAML with inner SGD, a linear model or an
// MLP without batch norm and with ReLU, leaky ReLU or tanh, and MSE or cross-entropy. Any widths:
// which are worth it is the resolver's choice.
bool FusedSupports(const v1::JobSpec& resolved);

// Requires FusedSupports(resolved). `autograd` is the same job's algorithm by automatic
// differentiation: it gives the list of meta-parameters, and computes what the kernels do not take
// (tensors that are not float32 on the CPU).
absl::StatusOr<std::unique_ptr<Algorithm>> CreateFusedMaml(const v1::JobSpec& resolved,
                                                           std::unique_ptr<Algorithm> autograd);

}  // namespace innerloop::meta
