#include "core/meta/algorithms/sgd_backward.h"

#include <torch/csrc/autograd/engine.h>

#include "core/meta/objectives/meta_objective.h"

namespace innerloop::meta {
namespace {

using torch::autograd::edge_list;
using torch::autograd::impl::gradient_edge;

// Where the gradients come from in their graph; invalid edges where they have none. It keeps the
// graph without the gradients' values.
edge_list GraphOf(const Tensors& gradients) {
  edge_list graph;
  graph.reserve(gradients.size());
  for (const Tensor& gradient : gradients) {
    graph.push_back(gradient.defined() && gradient.requires_grad() ? gradient_edge(gradient)
                                                                   : torch::autograd::Edge());
  }
  return graph;
}

// v <- v - rate * H v, where H is the Hessian of the losses whose gradients by the leaves
// `parameters` have the graph, which is used up. v may be undefined in places (zero).
void SubtractHessianProduct(const Tensors& parameters, edge_list graph, double rate, Tensors& v) {
  edge_list outputs;
  Tensors directions;
  for (size_t i = 0; i < graph.size(); ++i) {
    if (v[i].defined() && graph[i].is_valid()) {
      outputs.push_back(std::move(graph[i]));
      directions.push_back(v[i]);
    }
  }
  if (outputs.empty()) {
    return;
  }
  edge_list leaves;
  leaves.reserve(parameters.size());
  for (const Tensor& parameter : parameters) {
    leaves.push_back(gradient_edge(parameter));
  }
  Tensors products = torch::autograd::Engine::get_default_engine().execute(
      outputs, directions, /*keep_graph=*/false, /*create_graph=*/false, /*accumulate_grad=*/false,
      leaves);
  directions.clear();
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < v.size(); ++i) {
    const Tensor product = std::move(products[i]);
    if (product.defined()) {
      v[i] = v[i].defined() ? at::sub(v[i], product, rate) : product * -rate;
    }
  }
}

Tensors Scaled(const Tensors& tensors, double factor) {
  const torch::NoGradGuard no_grad;
  Tensors scaled;
  scaled.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    scaled.push_back(tensor.defined() ? tensor * factor : tensor);
  }
  return scaled;
}

}  // namespace

SgdBackward::SgdBackward(const Learner& learner, const v1::InnerOptimizer& optimizer,
                         const Examples& support, const Tensors& initial, int64_t steps)
    : learner_(learner),
      support_(support),
      rate_(optimizer.sgd().learning_rate()),
      proximal_(optimizer.proximal()),
      path_{.points = {initial}},
      at_(static_cast<size_t>(steps)),
      gradient_(initial.size()),
      by_start_(initial.size()) {
  InnerOptimizer::State state = learner.optimizer->Begin();
  for (int64_t step = 0; step < steps; ++step) {
    const Tensors& parameters = path_.points.back();
    // The last step's graph is the first one wanted.
    const bool last = step + 1 == steps;
    const LossGradients loss = Differentiate(learner, parameters, support, /*create_graph=*/last);
    path_.Append(DetachedStep(learner, parameters, loss.gradients, state), /*keep_all=*/true);
    if (last) {
      support_graph_ = GraphOf(loss.gradients);
    }
  }
}

void SgdBackward::StepBack(const Tensors& point) {
  --at_;
  if (support_graph_.empty()) {
    support_graph_ =
        GraphOf(Differentiate(learner_, point, support_, /*create_graph=*/true).gradients);
  }
  // At the first point the proximal term and both its derivatives are 0 together.
  const bool proximal = proximal_ > 0 && at_ > 0;
  const Tensors pull = proximal ? Scaled(gradient_, rate_ * proximal_) : Tensors();
  SubtractHessianProduct(point, std::exchange(support_graph_, {}), rate_, gradient_);
  if (proximal) {
    AddWhereDefined(Scaled(pull, -1), gradient_);
    AddWhereDefined(pull, by_start_);
  }
  if (at_ == 0) {
    AddWhereDefined(by_start_, gradient_);
  }
}

}  // namespace innerloop::meta
