#include "core/meta/algorithms/coordinate_lstm.h"

#include <algorithm>
#include <cmath>

namespace innerloop::meta {
namespace {

using torch::autograd::AutogradContext;

// Bounds of the first biases of the paper's gates: nearly all of theta stays, and a gradient moves
// it by about a hundredth, which is gradient descent.
constexpr double kFirstForgetBias[] = {4, 6};
constexpr double kFirstInputBias[] = {-5, -4};
constexpr double kOutputBound = 0.01;

// The order of CoordinateLstm::parameters().
enum Weight : size_t {
  kInputWeight,
  kHiddenWeight,
  kBias,
  kLastWeight,
  kLastBias,       // of the forget gate or of the additive output
  kInputGateBias,  // FORM_GATES alone
};
// What one step makes of what the one before made.
enum Variable : size_t { kTheta, kHidden, kCell, kGates, kVariables };

struct Rule {
  bool additive = false;
  double output_scale = 0;
  int64_t block = 0;
};

// One step of some coordinates; features [4, R], gradients [R].
Tensors StepBlock(const Rule& rule, at::TensorList weights, at::TensorList variables,
                  const Tensor& features, const Tensor& gradients) {
  const int64_t units = variables[kHidden].size(0);
  const Tensor sums =
      at::addmm(at::addmm(weights[kBias].unsqueeze(1), weights[kHiddenWeight], variables[kHidden]),
                weights[kInputWeight], features);
  const Tensors parts = at::split_with_sizes(sums, {3 * units, units});
  const Tensors gates = at::sigmoid(parts[0]).chunk(3);
  const Tensor cell = gates[1] * variables[kCell] + gates[0] * at::tanh(parts[1]);
  const Tensor hidden = gates[2] * at::tanh(cell);
  const Tensor& theta = variables[kTheta];
  if (rule.additive) {
    const Tensor change = at::addmm(weights[kLastBias].unsqueeze(1), weights[kLastWeight], hidden);
    return {theta + rule.output_scale * change[0], hidden, cell, at::zeros_like(variables[kGates])};
  }
  const Tensors columns = at::split_with_sizes(weights[kLastWeight], {units, 1, 1}, 1);
  const Tensor bias = at::cat({weights[kLastBias], weights[kInputGateBias]}).unsqueeze(1);
  const Tensor update = at::sigmoid(at::addmm(bias, columns[0], hidden) + columns[1] * theta +
                                    columns[2] * variables[kGates]);
  return {update[0] * theta - update[1] * gradients, hidden, cell, update};
}

// Coordinates [first, first + count), which are the last dimension.
Tensors Narrow(at::TensorList tensors, int64_t first, int64_t count) {
  Tensors narrowed;
  narrowed.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    narrowed.push_back(tensor.narrow(-1, first, count));
  }
  return narrowed;
}

Tensors Leaves(at::TensorList tensors) {
  Tensors leaves;
  leaves.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    leaves.push_back(tensor.detach().requires_grad_());
  }
  return leaves;
}

// The derivatives of a block's step by its weights, then by its variables; undefined: zero.
Tensors DifferentiateBlock(const Rule& rule, at::TensorList weights, at::TensorList variables,
                           const Tensor& features, const Tensor& gradients,
                           at::TensorList directions) {
  const at::AutoGradMode with_graph(true);
  Tensors leaves = Leaves(weights);
  const Tensors variable_leaves = Leaves(variables);
  const Tensors results = StepBlock(rule, leaves, variable_leaves, features, gradients);
  leaves.insert(leaves.end(), variable_leaves.begin(), variable_leaves.end());
  Tensors outputs;
  Tensors along;
  for (size_t i = 0; i < kVariables; ++i) {
    if (directions[i].defined() && results[i].requires_grad()) {
      outputs.push_back(results[i]);
      along.push_back(directions[i]);
    }
  }
  return torch::autograd::grad(outputs, leaves, along, /*retain_graph=*/false,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

struct LstmStep : torch::autograd::Function<LstmStep> {
  static Tensors forward(AutogradContext* context, const Rule& rule, at::TensorList weights,
                         at::TensorList variables, const Tensor& features,
                         const Tensor& gradients) {
    context->set_materialize_grads(false);
    context->saved_data["additive"] = rule.additive;
    context->saved_data["output_scale"] = rule.output_scale;
    context->saved_data["block"] = rule.block;
    context->saved_data["weights"] = static_cast<int64_t>(weights.size());
    Tensors saved = {features, gradients};
    saved.insert(saved.end(), weights.begin(), weights.end());
    saved.insert(saved.end(), variables.begin(), variables.end());
    context->save_for_backward(std::move(saved));
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    Tensors results;
    results.reserve(variables.size());
    for (const Tensor& variable : variables) {
      results.push_back(at::empty_like(variable, at::MemoryFormat::Contiguous));
    }
    for (int64_t first = 0; first < gradients.size(0); first += rule.block) {
      const int64_t count = std::min(rule.block, gradients.size(0) - first);
      const Tensors of_block =
          StepBlock(rule, weights, Narrow(variables, first, count),
                    features.narrow(1, first, count), gradients.narrow(0, first, count));
      for (size_t i = 0; i < kVariables; ++i) {
        results[i].narrow(-1, first, count).copy_(of_block[i]);
      }
    }
    return results;
  }

  static Tensors backward(AutogradContext* context, const Tensors& directions) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "a step of the LSTM can be differentiated once only");
    const Rule rule{.additive = context->saved_data["additive"].toBool(),
                    .output_scale = context->saved_data["output_scale"].toDouble(),
                    .block = context->saved_data["block"].toInt()};
    const auto weight_count = static_cast<size_t>(context->saved_data["weights"].toInt());
    const Tensors saved = context->get_saved_variables();
    const Tensor& features = saved[0];
    const Tensor& gradients = saved[1];
    const at::TensorList weights(&saved[2], weight_count);
    const at::TensorList variables(&saved[2 + weight_count], kVariables);
    Tensors sums;
    sums.reserve(saved.size());
    for (const Tensor& tensor : saved) {
      sums.push_back(at::zeros_like(tensor, at::MemoryFormat::Contiguous));
    }
    for (int64_t first = 0; first < gradients.size(0); first += rule.block) {
      const int64_t count = std::min(rule.block, gradients.size(0) - first);
      Tensors along;
      along.reserve(directions.size());
      for (const Tensor& direction : directions) {
        along.push_back(direction.defined() ? direction.narrow(-1, first, count) : Tensor());
      }
      const Tensors of_block = DifferentiateBlock(rule, weights, Narrow(variables, first, count),
                                                  features.narrow(1, first, count),
                                                  gradients.narrow(0, first, count), along);
      for (size_t i = 0; i < of_block.size(); ++i) {
        if (of_block[i].defined()) {
          const bool is_weight = i < weight_count;
          (is_weight ? sums[2 + i] : sums[2 + i].narrow(-1, first, count)).add_(of_block[i]);
        }
      }
    }
    // In the order of forward's arguments: rule, weights, variables, features, gradients.
    Tensors result = {Tensor()};
    result.insert(result.end(), sums.begin() + 2, sums.end());
    result.resize(result.size() + 2);
    return result;
  }
};

Initialiser Uniform(double low, double high) {
  return {.kind = Initialiser::Kind::kUniform, .low = low, .high = high};
}

}  // namespace

CoordinateLstm::CoordinateLstm(const v1::LstmMetaLearner& spec) : spec_(spec) {
  const int64_t units = spec.hidden_size();
  const double bound = 1 / std::sqrt(static_cast<double>(units));
  parameters_ = {{"lstm.input.weight", {4 * units, 4}, Uniform(-bound, bound)},
                 {"lstm.hidden.weight", {4 * units, units}, Uniform(-bound, bound)},
                 {"lstm.bias", {4 * units}, Uniform(-bound, bound)}};
  const Initialiser small = Uniform(-kOutputBound, kOutputBound);
  if (spec.form() == v1::LstmMetaLearner::FORM_ADDITIVE) {
    parameters_.push_back({"output.weight", {1, units}, small});
    parameters_.push_back({"output.bias", {1}, {}});
  } else {
    parameters_.push_back({"gates.weight", {2, units + 2}, small});
    parameters_.push_back(
        {"gates.forget.bias", {1}, Uniform(kFirstForgetBias[0], kFirstForgetBias[1])});
    parameters_.push_back(
        {"gates.input.bias", {1}, Uniform(kFirstInputBias[0], kFirstInputBias[1])});
  }
}

LstmState CoordinateLstm::Begin(const Tensor& theta) const {
  const int64_t gates = spec_.form() == v1::LstmMetaLearner::FORM_ADDITIVE ? 0 : 2;
  const auto zeros = [&](int64_t rows) {
    return at::zeros({rows, theta.size(0)}, theta.options().requires_grad(false));
  };
  return {.theta = theta,
          .hidden = zeros(spec_.hidden_size()),
          .cell = zeros(spec_.hidden_size()),
          .gates = zeros(gates)};
}

LstmState CoordinateLstm::Step(const Tensors& weights, const LstmState& state,
                               const LstmInputs& inputs) const {
  const Rule rule{.additive = spec_.form() == v1::LstmMetaLearner::FORM_ADDITIVE,
                  .output_scale = spec_.output_scale(),
                  .block = spec_.coordinates_per_block()};
  const Tensor gradients = inputs.gradients.detach();
  const Tensor features = at::cat({LogAndSign(gradients), LogAndSign(inputs.losses.detach())});
  const Tensors variables = {state.theta, state.hidden, state.cell, state.gates};
  Tensors next = LstmStep::apply(rule, at::TensorList(weights), at::TensorList(variables), features,
                                 gradients);
  return {.theta = std::move(next[kTheta]),
          .hidden = std::move(next[kHidden]),
          .cell = std::move(next[kCell]),
          .gates = std::move(next[kGates])};
}

Tensor LogAndSign(const Tensor& values) {
  const torch::NoGradGuard no_grad;
  constexpr double kRange = 10;
  const Tensor sizes = values.abs();
  const Tensor large = sizes >= std::exp(-kRange);
  return at::stack({at::where(large, sizes.log() / kRange, -1),
                    at::where(large, values.sign(), values * std::exp(kRange))});
}

}  // namespace innerloop::meta
