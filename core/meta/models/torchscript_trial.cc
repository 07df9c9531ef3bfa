#include "core/meta/models/torchscript_trial.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "core/meta/models/torchscript.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kTasks = 2;
constexpr int64_t kExamples = 3;
constexpr uint64_t kSeed = 1;
// Largest relative difference between all tasks at once and one at a time. Rounding gives some
// 1e-6; operators whose second derivative is wrong under vmap are off by 1e-3 and more.
constexpr double kTolerance = 2e-4;

// Random values of its own: the job's are not touched.
Tensor Noise(at::IntArrayRef sizes, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, generator, at::kFloat);
}

Tensor ExampleNoise(const TaskShape& shape, int64_t tasks) {
  std::vector<int64_t> sizes = {tasks, kExamples};
  sizes.insert(sizes.end(), shape.input.begin(), shape.input.end());
  return Noise(sizes, kSeed);
}

Tensors StoredValues(const ScriptModule& module) {
  Tensors values;
  for (const ScriptModule::Parameter& parameter : module.parameters()) {
    values.push_back(parameter.values);
  }
  return values;
}

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("model.torchscript: ", parts...));
}

absl::Status CheckShape(const Tensor& outputs, const Tensor& inputs, const TaskShape& shape) {
  const bool right = outputs.dim() == 2 && outputs.size(0) == kExamples &&
                     (shape.outputs == 0 ? outputs.size(1) > 0 : outputs.size(1) == shape.outputs);
  if (!right) {
    return Refuse("forward returns [", absl::StrJoin(outputs.sizes(), ", "),
                  "] for inputs of shape [", absl::StrJoin(inputs.sizes(), ", "),
                  "]; the tasks ask for [", kExamples, ", ",
                  shape.outputs == 0 ? "features" : absl::StrCat(shape.outputs), "]");
  }
  if (outputs.scalar_type() != torch::kFloat) {
    return Refuse("forward returns ", c10::toString(outputs.scalar_type()),
                  " for Float (float32) inputs; Float is right");
  }
  return absl::OkStatus();
}

Tensor OrZeros(const Tensor& gradient, const Tensor& parameter) {
  return gradient.defined() ? gradient.detach() : at::zeros_like(parameter);
}

// The values that a model computes and their derivatives; `second` is empty when the operators have
// no second derivative.
struct Derivatives {
  Tensors outputs;
  Tensors first;
  Tensors second;
  std::string why_no_second;
};

template <typename Forward>
Derivatives Differentiate(const Tensors& parameters, const Tensor& inputs, const Forward& forward) {
  Derivatives result;
  const Tensor outputs = forward(parameters, inputs);
  result.outputs = {outputs.detach()};
  const Tensor weighted = outputs * Noise(outputs.sizes(), kSeed + 1);
  const Tensors gradients =
      torch::autograd::grad({weighted.square().sum()}, parameters, /*grad_outputs=*/{},
                            /*retain_graph=*/true, /*create_graph=*/true, /*allow_unused=*/true);
  Tensor sum = at::zeros({}, at::kFloat);
  for (size_t i = 0; i < gradients.size(); ++i) {
    result.first.push_back(OrZeros(gradients[i], parameters[i]));
    if (gradients[i].defined()) {
      sum = sum + (gradients[i] * Noise(gradients[i].sizes(), kSeed + 2 + i)).sum();
    }
  }
  try {
    const Tensors second =
        torch::autograd::grad({sum}, parameters, /*grad_outputs=*/{}, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < second.size(); ++i) {
      result.second.push_back(OrZeros(second[i], parameters[i]));
    }
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    result.second.clear();
    result.why_no_second = ReasonOf(error);
  }
  return result;
}

double NormOf(const Tensors& tensors) {
  double squares = 0;
  for (const Tensor& tensor : tensors) {
    const double norm = tensor.norm().item<double>();
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

// The largest of the tensors' relative differences; infinity when they cannot be compared. A tensor
// that is small beside the others counts as a hundredth of them: a derivative that is zero but for
// rounding (a bias before batch norm) has no digits to compare.
double Difference(const Tensors& a, const Tensors& b) {
  if (a.size() != b.size()) {
    return std::numeric_limits<double>::infinity();
  }
  const double least = std::max(1e-6, NormOf(b) / 100);
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].sizes() != b[i].sizes()) {
      return std::numeric_limits<double>::infinity();
    }
    const double scale = std::max(least, b[i].norm().item<double>());
    largest = std::max(largest, (a[i] - b[i]).norm().item<double>() / scale);
  }
  return largest;
}

}  // namespace

Tensor AsModulesSee(const Tensor& inputs) {
  return inputs.dim() == 5 ? inputs.permute({0, 1, 4, 2, 3}).contiguous() : inputs;
}

absl::Status TryModule(ScriptModule& module, const TaskShape& shape) {
  const Tensors values = StoredValues(module);
  const Tensor inputs = AsModulesSee(ExampleNoise(shape, 1))[0];
  try {
    const torch::NoGradGuard no_grad;
    const Tensor outputs = module.Call(values, inputs);
    INNERLOOP_RETURN_IF_ERROR(CheckShape(outputs, inputs, shape));
    if (!at::equal(outputs, module.Call(values, inputs))) {
      return Refuse(
          "forward returns something else when it is called again; it must depend on its inputs "
          "and parameters alone, without random numbers");
    }
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const c10::Error& error) {
    const std::string reason = ReasonOf(error);
    if (absl::StrContains(reason, "DefaultCPUAllocator")) {
      throw;
    }
    return Refuse("inputs of shape [", absl::StrJoin(inputs.sizes(), ", "), "]: ", reason);
  }
  if (const std::string buffer = module.ChangedBuffer(); !buffer.empty()) {
    return Refuse("forward changes the buffer '", buffer,
                  "'; it must depend on its inputs and parameters alone");
  }
  return absl::OkStatus();
}

bool MixesExamples(ScriptModule& module, const TaskShape& shape) {
  const torch::NoGradGuard no_grad;
  const Tensors values = StoredValues(module);
  const Tensor inputs = AsModulesSee(ExampleNoise(shape, 1))[0];
  const Tensor others = inputs.clone();
  others.narrow(0, 1, kExamples - 1).add_(1);
  return !at::equal(module.Call(values, inputs)[0], module.Call(values, others)[0]);
}

absl::StatusOr<std::string> WhyNotAtOnce(const ScriptedModel& model, const TaskShape& shape) {
  Tensors parameters;
  for (const ModelParameter& parameter : model.parameters()) {
    std::vector<int64_t> sizes = parameter.shape;
    sizes.insert(sizes.begin(), kTasks);
    // Tasks that differ, near the stored values.
    const Tensor values =
        parameter.initialiser.given + 0.05 * Noise(sizes, kSeed + 100 + parameters.size());
    parameters.push_back(values.requires_grad_());
  }
  const Tensor inputs = ExampleNoise(shape, kTasks);
  Derivatives one;
  try {
    one = Differentiate(parameters, inputs,
                        [&](const auto& p, const Tensor& x) { return model.OneTaskAtATime(p, x); });
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& error) {
    return Refuse("it cannot be differentiated by its parameters: ", ReasonOf(error));
  }
  try {
    const Derivatives all = Differentiate(parameters, inputs, [&](const auto& p, const Tensor& x) {
      return model.AllTasksAtOnce(p, x);
    });
    if (one.why_no_second.empty() && !all.why_no_second.empty()) {
      return all.why_no_second;
    }
    const double difference =
        std::max({Difference(all.outputs, one.outputs), Difference(all.first, one.first),
                  Difference(all.second, one.second)});
    // Written so that NaN is no agreement.
    return difference <= kTolerance
               ? ""
               : absl::StrCat("under vmap it differs by ", difference,
                              " from one task at a time, in its outputs or their derivatives");
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return ReasonOf(error);
  }
}

}  // namespace innerloop::meta
