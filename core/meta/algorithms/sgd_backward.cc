#include "core/meta/algorithms/sgd_backward.h"

#include "core/meta/objectives/meta_objective.h"

namespace innerloop::meta {
namespace {

// v <- v - rate * H v, where H is the Hessian of the losses whose `gradients` by `parameters` carry
// a graph. v may be undefined in places (zero).
void SubtractHessianProduct(const Tensors& parameters, const Tensors& gradients, double rate,
                            Tensors& v) {
  Tensors outputs;
  Tensors directions;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (v[i].defined() && gradients[i].defined() && gradients[i].requires_grad()) {
      outputs.push_back(gradients[i]);
      directions.push_back(v[i]);
    }
  }
  if (outputs.empty()) {
    return;
  }
  const Tensors products =
      torch::autograd::grad(outputs, parameters, directions, /*retain_graph=*/false,
                            /*create_graph=*/false, /*allow_unused=*/true);
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < v.size(); ++i) {
    if (products[i].defined()) {
      v[i] = v[i].defined() ? at::sub(v[i], products[i], rate) : products[i] * -rate;
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
    support_gradients_ =
        Differentiate(learner, parameters, support, /*create_graph=*/step + 1 == steps).gradients;
    path_.Append(DetachedStep(learner, parameters, support_gradients_, state), /*keep_all=*/true);
  }
}

void SgdBackward::StepBack() {
  --at_;
  const Tensors& parameters = path_.points[at_];
  if (support_gradients_.empty()) {
    support_gradients_ =
        Differentiate(learner_, parameters, support_, /*create_graph=*/true).gradients;
  }
  // At the first point the proximal term and both its derivatives are 0 together.
  const bool proximal = proximal_ > 0 && at_ > 0;
  const Tensors pull = proximal ? Scaled(gradient_, rate_ * proximal_) : Tensors();
  SubtractHessianProduct(parameters, support_gradients_, rate_, gradient_);
  support_gradients_.clear();
  if (proximal) {
    AddWhereDefined(Scaled(pull, -1), gradient_);
    AddWhereDefined(pull, by_start_);
  }
  if (at_ == 0) {
    AddWhereDefined(by_start_, gradient_);
  }
}

}  // namespace innerloop::meta
