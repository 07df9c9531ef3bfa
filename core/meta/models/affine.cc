#include "core/meta/models/affine.h"

#include "absl/strings/str_cat.h"
#include "core/meta/models/initialiser.h"
#include "core/meta/ops/matrix_product.h"

namespace innerloop::meta {

int64_t ExampleSize(const TaskShape& shape) {
  int64_t size = 1;
  for (const int64_t length : shape.input) {
    size *= length;
  }
  return size;
}

void AddAffine(const std::string& name, int64_t inputs, int64_t outputs, v1::Initialisation scheme,
               std::vector<ModelParameter>& parameters) {
  parameters.push_back(
      {name + ".weight", {inputs, outputs}, WeightInitialiser(scheme, inputs, outputs)});
  parameters.push_back({name + ".bias", {outputs}, {}});
}

void AddNorm(const std::string& name, int64_t channels, std::vector<ModelParameter>& parameters) {
  parameters.push_back({name + ".scale", {channels}, {Initialiser::Kind::kOnes}});
  parameters.push_back({name + ".shift", {channels}, {}});
}

Tensor Affine(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return MatrixProduct(x, weight) + bias.unsqueeze(1);
}

std::string AffineScript(const std::string& name) {
  return absl::StrCat("  x = torch.matmul(x, self.", name, "_weight) + self.", name, "_bias\n");
}

}  // namespace innerloop::meta
