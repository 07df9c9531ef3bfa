#include "tests/core/meta/derivatives.h"

#include <ATen/CPUGeneratorImpl.h>
#include <cmath>

#include "gtest/gtest.h"

namespace innerloop::meta {
namespace {

Tensors Directions(const Tensors& inputs, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  Tensors directions;
  for (const Tensor& input : inputs) {
    directions.push_back(at::randn(input.sizes(), generator, input.options()));
  }
  return directions;
}

Tensors Gradients(const ScalarFunction& function, const Tensors& inputs, bool create_graph) {
  Tensors gradients = torch::autograd::grad({function(inputs)}, inputs, {}, create_graph,
                                            create_graph, /*allow_unused=*/true);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!gradients[i].defined()) {
      gradients[i] = at::zeros_like(inputs[i]);
    }
  }
  return gradients;
}

Tensor Dot(const Tensors& a, const Tensors& b) {
  Tensor sum = at::zeros({}, at::kDouble);
  for (size_t i = 0; i < a.size(); ++i) {
    sum = sum + (a[i] * b[i]).sum();
  }
  return sum;
}

Tensors Leaves(const Tensors& inputs) {
  Tensors leaves;
  for (const Tensor& input : inputs) {
    leaves.push_back(input.detach().clone().requires_grad_());
  }
  return leaves;
}

double ValueAt(const ScalarFunction& function, const Tensors& inputs, const Tensors& direction,
               double step) {
  Tensors moved;
  for (size_t i = 0; i < inputs.size(); ++i) {
    moved.push_back(inputs[i] + step * direction[i]);
  }
  return function(Leaves(moved)).item<double>();
}

}  // namespace

void ExpectDerivatives(const ScalarFunction& function, const Tensors& inputs, int orders,
                       double tolerance) {
  ScalarFunction current = function;
  for (int order = 1; order <= orders; ++order) {
    const Tensors leaves = Leaves(inputs);
    const Tensors gradients = Gradients(current, leaves, /*create_graph=*/false);
    for (uint64_t trial = 0; trial < 3; ++trial) {
      const Tensors direction = Directions(inputs, 100 * order + trial);
      const double step = 1e-5;
      // Fourth order: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h.
      const double difference = (8 * (ValueAt(current, inputs, direction, step) -
                                      ValueAt(current, inputs, direction, -step)) -
                                 (ValueAt(current, inputs, direction, 2 * step) -
                                  ValueAt(current, inputs, direction, -2 * step))) /
                                (12 * step);
      const double derivative = Dot(gradients, direction).item<double>();
      EXPECT_NEAR(derivative, difference, tolerance * (1 + std::abs(difference)))
          << "derivative " << order << ", direction " << trial;
    }
    current = [before = current, direction = Directions(inputs, 1000 + order)](const Tensors& x) {
      return Dot(Gradients(before, x, /*create_graph=*/true), direction);
    };
  }
}

Tensor Weigh(const Tensor& t) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(7);
  return (t * at::randn(t.sizes(), generator, t.options())).sum();
}

}  // namespace innerloop::meta
