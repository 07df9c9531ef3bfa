// Inner optimisers beside LibTorch's own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/meta/tensors.h"

namespace innerloop::meta {

using MakeOptimizer = std::function<std::unique_ptr<torch::optim::Optimizer>(const Tensors&)>;

// A job's fields of InnerOptimizer, and the same of LibTorch.
inline std::vector<std::pair<std::string, MakeOptimizer>> Optimizers() {
  return {
      {"sgd { learning_rate: 0.1 }",
       [](const Tensors& p) {
         return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(0.1));
       }},
      {"momentum { learning_rate: 0.1 momentum: 0.9 }",
       [](const Tensors& p) {
         return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(0.1).momentum(0.9));
       }},
      {"adam { learning_rate: 0.01 beta1: 0.9 beta2: 0.99 epsilon: 0.001 }",
       [](const Tensors& p) {
         return std::make_unique<torch::optim::Adam>(
             p, torch::optim::AdamOptions(0.01).betas({0.9, 0.99}).eps(0.001));
       }},
      {"adam { learning_rate: 0.01 epsilon: 0.001 }",  // Reptile's: beta1 = 0
       [](const Tensors& p) {
         return std::make_unique<torch::optim::Adam>(
             p, torch::optim::AdamOptions(0.01).betas({0, 0.999}).eps(0.001));
       }},
  };
}

// Copies to take steps with.
inline Tensors Leaves(const Tensors& tensors) {
  Tensors leaves;
  for (const Tensor& tensor : tensors) {
    leaves.push_back(tensor.detach().clone().requires_grad_());
  }
  return leaves;
}

}  // namespace innerloop::meta
