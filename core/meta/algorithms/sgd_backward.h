// The way back through an inner loop of SGD without its graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/meta/algorithms/adaptation.h"
#include "core/meta/objectives/inner_loops.h"

namespace innerloop::meta {

// With theta_{k+1} = theta_k - rate * (g(theta_k) + lambda * (theta_k - theta_0)), lambda the
// proximal term's, the derivative of a step by theta_k is I - rate * (H_k + lambda), which is
// symmetric, and that by theta_0 is rate * lambda. Going back from theta_K with an objective's
// gradient v, each step is v <- v - rate * (H_k + lambda) v: a Hessian-vector product, for which
// the step's graph is made once more. One step's activations at a time, besides the points. Used by
// one call of one algorithm.
class SgdBackward {
 public:
  // Takes the inner steps. `optimizer` has sgd; the learner and the support set must outlive this.
  SgdBackward(const Learner& learner, const v1::InnerOptimizer& optimizer, const Examples& support,
              const Tensors& initial, int64_t steps);
  // All points, as leaves. To be called once.
  InnerPath TakePath() { return std::move(path_); }
  // The derivative by the point that it has come back to, K at first and undefined (zero) there;
  // callers add to it what that point itself adds to the objective.
  Tensors& gradient() { return gradient_; }
  // From point k to k - 1, which is `point`.
  void StepBack(const Tensors& point);

 private:
  const Learner& learner_;
  const Examples& support_;
  const double rate_;
  const double proximal_;
  InnerPath path_;
  size_t at_;
  Tensors gradient_;
  // By theta_0, through the proximal terms of the steps gone back.
  Tensors by_start_;
  // The graph of the support loss's gradients at point at_ - 1, where it is there already.
  torch::autograd::edge_list support_graph_;
};

}  // namespace innerloop::meta
