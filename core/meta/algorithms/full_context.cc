#include "core/meta/algorithms/full_context.h"

#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/meta/ops/matrix_product.h"

namespace innerloop::meta {
namespace {

struct CellState {
  Tensor h;
  Tensor c;
};

// `gates` [..., 4 d] before their activations; c [..., d].
CellState Cell(const Tensor& gates, const Tensor& c) {
  const Tensors parts = gates.chunk(4, -1);
  const Tensor next = at::sigmoid(parts[1] + 1) * c + at::sigmoid(parts[0]) * at::tanh(parts[2]);
  return {at::sigmoid(parts[3]) * at::tanh(next), next};
}

// x [T, n, inputs] times weight [inputs, outputs].
Tensor Project(const Tensor& x, const Tensor& weight) {
  return x.flatten(0, 1).matmul(weight).unflatten(0, {x.size(0), x.size(1)});
}

// The outputs h [T, n, d] of an LSTM over x [T, n, d], from the last to the first where `reversed`.
// Where `present` [T, n] is false the state stays as it is.
Tensor Sequence(const Tensor& x, const Tensor& present, const Tensor& weight, const Tensor& bias,
                bool reversed) {
  const int64_t count = x.size(1);
  const int64_t dimension = x.size(2);
  const Tensor inputs = Project(x, weight.narrow(0, 0, dimension)) + bias;
  const Tensor recurrent = weight.narrow(0, dimension, dimension);
  CellState state{at::zeros({x.size(0), dimension}, x.options()), {}};
  state.c = state.h;
  Tensors outputs(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = reversed ? count - 1 - i : i;
    const CellState next = Cell(inputs.select(1, at) + state.h.matmul(recurrent), state.c);
    const Tensor here = present.select(1, at).unsqueeze(1);
    state = {at::where(here, next.h, state.h), at::where(here, next.c, state.c)};
    outputs[static_cast<size_t>(at)] = state.h;
  }
  return at::stack(outputs, 1);
}

}  // namespace

FullContext::FullContext(int64_t dimension, int64_t read_steps) : read_steps_(read_steps) {
  const auto add = [&](const std::string& name, int64_t inputs) {
    const Initialiser glorot{Initialiser::Kind::kGlorotUniform, inputs, dimension};
    parameters_.push_back({name + ".weight", {inputs, 4 * dimension}, glorot});
    parameters_.push_back({name + ".bias", {4 * dimension}, {}});
  };
  add("forward", 2 * dimension);
  add("backward", 2 * dimension);
  add("attention", 3 * dimension);
}

Tensor FullContext::Support(absl::Span<const Tensor> parameters, const Tensor& support,
                            const Tensor& weights) const {
  const Tensor present = weights > 0;
  return Sequence(support, present, parameters[0], parameters[1], /*reversed=*/false) +
         Sequence(support, present, parameters[2], parameters[3], /*reversed=*/true) + support;
}

Tensor FullContext::Query(absl::Span<const Tensor> parameters, const Tensor& query,
                          const Tensor& support, const Tensor& weights) const {
  const int64_t dimension = query.size(2);
  const Tensor& weight = parameters[4];
  const Tensor inputs = Project(query, weight.narrow(0, 0, dimension)) + parameters[5];
  const Tensor recurrent = weight.narrow(0, dimension, 2 * dimension);
  const Tensor keys = support.transpose(1, 2);
  const Tensor log_weights = weights.log().unsqueeze(1);
  Tensor h = at::zeros_like(query);
  Tensor c = h;
  for (int64_t step = 0; step < read_steps_; ++step) {
    const Tensor attention = at::softmax(MatrixProduct(h, keys) + log_weights, 2);
    const Tensor read = MatrixProduct(attention, support);
    CellState next = Cell(inputs + Project(at::cat({h, read}, 2), recurrent), c);
    h = next.h + query;
    c = std::move(next.c);
  }
  return h;
}

ScriptHead FullContext::QueryScript(absl::Span<const Tensor> parameters) const {
  return {.body = absl::StrFormat(R"(  d = x.size(1)
  inputs = torch.matmul(x, self.attention_weight[:d]) + self.attention_bias
  h = torch.zeros_like(x)
  c = torch.zeros_like(x)
  for step in range(%d):
    attention = torch.softmax(torch.matmul(h, self.support.t()), 1)
    state = torch.cat([h, torch.matmul(attention, self.support)], 1)
    gates = inputs + torch.matmul(state, self.attention_weight[d:])
    c = torch.sigmoid(gates[:, d:2 * d] + 1) * c + torch.sigmoid(gates[:, :d]) * torch.tanh(gates[:, 2 * d:3 * d])
    h = torch.sigmoid(gates[:, 3 * d:]) * torch.tanh(c) + x
  x = h
)",
                                  read_steps_),
          .buffers = {{"attention_weight", parameters[4]}, {"attention_bias", parameters[5]}}};
}

}  // namespace innerloop::meta
