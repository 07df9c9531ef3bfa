#include "core/meta/algorithms/inner_optimizer.h"

#include <cmath>
#include <utility>

namespace innerloop::meta {
namespace {

// theta - rate * g.
class Sgd : public InnerOptimizer {
 public:
  explicit Sgd(const v1::InnerSgd& spec) : rate_(spec.learning_rate()) {}

  Tensors Step(const Tensors& parameters, const Tensors& gradients, State&) const override {
    Tensors next(parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
      next[i] =
          gradients[i].defined() ? at::sub(parameters[i], gradients[i], rate_) : parameters[i];
    }
    return next;
  }

 private:
  const double rate_;
};

// m <- momentum * m + g; theta - rate * m.
class Momentum : public InnerOptimizer {
 public:
  explicit Momentum(const v1::InnerMomentum& spec)
      : rate_(spec.learning_rate()), momentum_(spec.momentum()) {}

  State Begin() const override { return {.slots = {{}}}; }

  Tensors Step(const Tensors& parameters, const Tensors& gradients, State& state) const override {
    Tensors& moments = state.slots[0];
    moments.resize(parameters.size());
    Tensors next(parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
      Tensor& moment = moments[i];
      if (!moment.defined()) {
        moment = gradients[i];
      } else if (gradients[i].defined()) {
        moment = at::add(gradients[i], moment, momentum_);
      } else {
        moment = moment * momentum_;
      }
      next[i] = moment.defined() ? at::sub(parameters[i], moment, rate_) : parameters[i];
    }
    return next;
  }

 private:
  const double rate_;
  const double momentum_;
};

// Kingma & Ba 2015, algorithm 1.
class Adam : public InnerOptimizer {
 public:
  Adam(const v1::InnerAdam& spec, bool differentiated)
      : rate_(spec.learning_rate()),
        beta1_(spec.beta1()),
        beta2_(spec.beta2()),
        epsilon_(spec.epsilon()),
        differentiated_(differentiated) {}

  State Begin() const override { return {.slots = {{}, {}}}; }

  Tensors Step(const Tensors& parameters, const Tensors& gradients, State& state) const override {
    state.slots[0].resize(parameters.size());
    state.slots[1].resize(parameters.size());
    const auto t = static_cast<double>(++state.step);
    const double correction1 = 1 - std::pow(beta1_, t);
    const double correction2 = 1 - std::pow(beta2_, t);
    Tensors next(parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
      Tensor& first = state.slots[0][i];
      Tensor& second = state.slots[1][i];
      first = Average(first, gradients[i], beta1_);
      second = Average(second, gradients[i].defined() ? gradients[i] * gradients[i] : gradients[i],
                       beta2_);
      if (!first.defined()) {
        next[i] = parameters[i];
        continue;
      }
      // The root alone has no derivative at 0, where a parameter without influence has its v.
      const Tensor scale = differentiated_
                               ? at::sqrt(at::add(second / correction2, epsilon_ * epsilon_))
                               : at::add(at::sqrt(second / correction2), epsilon_);
      next[i] = at::sub(parameters[i], first / scale, rate_ / correction1);
    }
    return next;
  }

 private:
  // beta * average + (1 - beta) * value, where undefined is zero.
  static Tensor Average(const Tensor& average, const Tensor& value, double beta) {
    if (!value.defined()) {
      return average.defined() ? average * beta : average;
    }
    const Tensor share = beta == 0 ? value : value * (1 - beta);
    return average.defined() && beta != 0 ? at::add(share, average, beta) : share;
  }

  const double rate_;
  const double beta1_;
  const double beta2_;
  const double epsilon_;
  const bool differentiated_;
};

// An optimiser whose gradients have those of strength/2 ||theta - theta_0||^2 added, theta_0 the
// parameters of the first step.
class Proximal : public InnerOptimizer {
 public:
  Proximal(double strength, std::unique_ptr<InnerOptimizer> optimizer)
      : strength_(strength), optimizer_(std::move(optimizer)) {}

  // The optimiser's state with theta_0 as its last slot.
  State Begin() const override {
    State state = optimizer_->Begin();
    state.slots.emplace_back();
    return state;
  }

  Tensors Step(const Tensors& parameters, const Tensors& gradients, State& state) const override {
    Tensors& start = state.slots.back();
    if (start.empty()) {
      start = parameters;  // where the term and its derivatives are 0
      return optimizer_->Step(parameters, gradients, state);
    }
    Tensors pulled = gradients;
    for (size_t i = 0; i < pulled.size(); ++i) {
      // A parameter without a gradient has not moved.
      if (pulled[i].defined()) {
        pulled[i] = at::add(pulled[i], parameters[i] - start[i], strength_);
      }
    }
    return optimizer_->Step(parameters, pulled, state);
  }

 private:
  const double strength_;
  const std::unique_ptr<InnerOptimizer> optimizer_;
};

std::unique_ptr<InnerOptimizer> CreatePlain(const v1::InnerOptimizer& resolved,
                                            bool differentiated) {
  switch (resolved.kind_case()) {
    case v1::InnerOptimizer::kMomentum:
      return std::make_unique<Momentum>(resolved.momentum());
    case v1::InnerOptimizer::kAdam:
      return std::make_unique<Adam>(resolved.adam(), differentiated);
    case v1::InnerOptimizer::kSgd:
    case v1::InnerOptimizer::KIND_NOT_SET:  // resolving fills it in
      break;
  }
  return std::make_unique<Sgd>(resolved.sgd());
}

}  // namespace

std::unique_ptr<InnerOptimizer> CreateInnerOptimizer(const v1::InnerOptimizer& resolved,
                                                     bool differentiated) {
  std::unique_ptr<InnerOptimizer> plain = CreatePlain(resolved, differentiated);
  if (resolved.proximal() == 0) {
    return plain;
  }
  return std::make_unique<Proximal>(resolved.proximal(), std::move(plain));
}

}  // namespace innerloop::meta
