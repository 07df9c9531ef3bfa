#include "core/meta/models/activation.h"

#include "absl/strings/str_cat.h"

namespace innerloop::meta {

constexpr double kLeakySlope = 0.01;

Tensor Activate(v1::Activation activation, const Tensor& x) {
  switch (activation) {
    case v1::ACTIVATION_RELU:
      return at::relu(x);
    case v1::ACTIVATION_TANH:
      return at::tanh(x);
    case v1::ACTIVATION_GELU:
      return at::gelu(x, "none");
    case v1::ACTIVATION_LEAKY_RELU:
      return at::leaky_relu(x, kLeakySlope);
    default:
      break;
  }
  TORCH_CHECK(false, "unknown activation ", static_cast<int>(activation));
}

std::string ActivationScript(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_TANH:
      return "  x = torch.tanh(x)\n";
    case v1::ACTIVATION_GELU:
      return "  x = torch.gelu(x)\n";
    case v1::ACTIVATION_LEAKY_RELU:
      return absl::StrCat("  x = torch.leaky_relu(x, ", kLeakySlope, ")\n");
    default:
      return "  x = torch.relu(x)\n";
  }
}

double NegativeSlope(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_RELU:
      return 0;
    case v1::ACTIVATION_LEAKY_RELU:
      return kLeakySlope;
    default:
      return 1;
  }
}

}  // namespace innerloop::meta
