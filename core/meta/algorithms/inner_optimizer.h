// Optimisers of the inner loop, differentiable in everything they are given.
#pragma once

#include <memory>
#include <vector>

#include "core/meta/tensors.h"

namespace innerloop::meta {

// Immutable; its State belongs to one inner loop.
class InnerOptimizer {
 public:
  struct State {
    std::vector<Tensors> slots;
    int64_t step = 0;
  };
  virtual ~InnerOptimizer() = default;
  virtual State Begin() const { return {}; }
  // The parameters after one step; all tensors [T, ...]. An undefined gradient counts as zero.
  // Differentiable where its arguments carry graphs.
  virtual Tensors Step(const Tensors& parameters, const Tensors& gradients, State& state) const = 0;
};

// `differentiated`: the inner loop's result will be differentiated through its steps, so that each
// needs a derivative everywhere.
std::unique_ptr<InnerOptimizer> CreateInnerOptimizer(const v1::InnerOptimizer& resolved,
                                                     bool differentiated);

}  // namespace innerloop::meta
