// MAML with inner SGD on multilayer perceptrons, one task after the other, in float32. No LibTorch,
// no Highway.
#pragma once

#include <cstddef>
#include <vector>

#include "core/meta/fused/example_rows.h"
#include "core/meta/fused/mlp_shape.h"

namespace innerloop::meta::fused {

struct MamlRule {
  enum class Order {
    kSecond,            // keeps what each inner step computed
    kSecondRecomputed,  // keeps each step's parameters, and computes the rest again
    kFirst,
  };
  Order order = Order::kSecond;
  size_t inner_steps = 1;
  float learning_rate = 0.01f;
};

// Sums over tasks.
struct MamlMeasures {
  double meta_loss = 0;
  double meta_accuracy = 0;  // classification only
  // Only when asked for.
  double support_loss_before = 0;
  double support_loss_after = 0;
  double query_loss_before = 0;
};

// Weights [inputs, outputs] and biases [outputs] of each layer in turn.
using ConstParameterArrays = std::vector<const float*>;
using ParameterArrays = std::vector<float*>;

// Adds the sum of the tasks' meta-gradients to `updates`, in the order of the tasks. Thread-safe;
// memory is kept by each thread for its next call. The gradient of second order is found backwards:
// v starts as the query loss's gradient after the last step, and each step k turns it into
// v - learning_rate * H_k v, with H_k the Hessian of the support loss before that step.
MamlMeasures AddMamlUpdates(const MlpShape& shape, const MamlRule& rule,
                            const ConstParameterArrays& theta, const TaskArrays& tasks,
                            bool detailed, const ParameterArrays& updates);

// Adapts to each task and measures its queries after each of 0..inner_steps steps: losses and (for
// classification) accuracies [inner_steps + 1, T]. Thread-safe. The rule's order does not matter.
void EvaluateMaml(const MlpShape& shape, const MamlRule& rule, const ConstParameterArrays& theta,
                  const TaskArrays& tasks, double* losses, double* accuracies);

}  // namespace innerloop::meta::fused
