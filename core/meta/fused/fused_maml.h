// MAML of small multilayer perceptrons by hand-derived formulas instead of automatic
// differentiation: the algorithm behind ComputeSpec.ENGINE_FUSED.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/meta/algorithms/algorithm.h"

namespace innerloop::meta {

// For jobs that WhyNotFused has nothing against. `autograd` is the same job's algorithm by
// automatic differentiation: it gives the list of meta-parameters, and computes what the kernels do
// not take (tensors that are not float32 on the CPU).
absl::StatusOr<std::unique_ptr<Algorithm>> CreateFusedMaml(const v1::JobSpec& resolved,
                                                           std::unique_ptr<Algorithm> autograd);

}  // namespace innerloop::meta
