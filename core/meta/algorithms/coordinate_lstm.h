// The LSTM that takes a learner's steps, one coordinate as the other (Ravi & Larochelle 2017).
#pragma once

#include <cstdint>
#include <vector>

#include "core/meta/models/model.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// R coordinates between two steps. Only theta means something outside.
struct LstmState {
  Tensor theta;   // [R]
  Tensor hidden;  // [H, R]
  Tensor cell;    // [H, R]
  Tensor gates;   // [2, R], the last step's forget and input gates; [0, R] for FORM_ADDITIVE
};

// The gradient of each coordinate, and the loss that it is of.
struct LstmInputs {
  Tensor gradients;  // [R]
  Tensor losses;     // [R]
};

// Weights that all coordinates share, so that a learner of any size is trained by a small network.
// Immutable; thread-safe.
class CoordinateLstm {
 public:
  // A resolved specification.
  explicit CoordinateLstm(const v1::LstmMetaLearner& spec);

  // "lstm.input.weight" [4H, 4], "lstm.hidden.weight" [4H, H] and "lstm.bias" [4H], rows ordered
  // (input gate, forget gate, output gate, candidate); then for FORM_GATES "gates.weight"
  // [2, H + 2], rows (forget, input) over (hidden, theta, gate before), and the biases
  // "gates.forget.bias" and "gates.input.bias" [1]; for FORM_ADDITIVE "output.weight" [1, H] and
  // "output.bias" [1].
  const std::vector<ModelParameter>& parameters() const { return parameters_; }

  LstmState Begin(const Tensor& theta) const;

  // The coordinates after one step. Differentiable once, in the weights and the state; the inputs
  // count as constants. Its graph keeps the state and five values for each coordinate: all else is
  // computed again, block by block, in the backward pass.
  LstmState Step(const Tensors& weights, const LstmState& state, const LstmInputs& inputs) const;

 private:
  const v1::LstmMetaLearner spec_;
  std::vector<ModelParameter> parameters_;
};

// [2, ...shape]: a value's size and sign apart, both within [-1, 1] for values up to e^10
// (Andrychowicz et al. 2016, appendix A, p = 10).
Tensor LogAndSign(const Tensor& values);

}  // namespace innerloop::meta
