// Full-context embeddings (Vinyals et al. 2016, section 2.1.2 and appendix A).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/meta/algorithms/own_task.h"
#include "core/meta/models/model.h"

namespace innerloop::meta {

// LSTMs through which embeddings of dimension d see the whole support set. All tasks share their
// parameters, which have no task dimension. A cell of inputs x and state (h, c), its gates being
// columns of [x, h] weight + bias in the order i, f, g, o:
//   c' = sigmoid(f + 1) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c').
// The 1 lets a fresh cell remember (Gers et al. 2000). Immutable; thread-safe.
class FullContext {
 public:
  FullContext(int64_t dimension, int64_t read_steps);
  // "forward.weight" [2 d, 4 d], "forward.bias" [4 d], the same for "backward", then
  // "attention.weight" [3 d, 4 d] and "attention.bias".
  const std::vector<ModelParameter>& parameters() const { return parameters_; }
  // g(x_i) = forward h_i + backward h_i + g'(x_i) over the support set in its order. `support`
  // (g') [T, n, d]; examples of `weights` [T, n] 0 are passed over.
  Tensor Support(absl::Span<const Tensor> parameters, const Tensor& support,
                 const Tensor& weights) const;
  // f after the read steps, from f' = `query` [T, q, d] and g = `support`. A step k reads
  // r = sum of a_i g(x_i), a the softmax over i of h_{k-1}' g(x_i) + log(weight_i), and gives
  // h_k = f' + the cell's h of input f' and state ([h_{k-1}, r], c_{k-1}); h_0 = c_0 = 0.
  Tensor Query(absl::Span<const Tensor> parameters, const Tensor& query, const Tensor& support,
               const Tensor& weights) const;
  // Query for one task without weights as TorchScript that replaces x [q, d]; it reads
  // "self.support", g [n, d].
  ScriptHead QueryScript(absl::Span<const Tensor> parameters) const;

 private:
  const int64_t read_steps_;
  std::vector<ModelParameter> parameters_;
};

}  // namespace innerloop::meta
