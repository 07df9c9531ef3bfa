#include "core/meta/models/mlp.h"

#include "absl/strings/str_cat.h"
#include "core/meta/models/activation.h"
#include "core/meta/models/affine.h"
#include "core/meta/models/initialiser.h"
#include "core/meta/ops/batch_norm.h"
#include "core/meta/ops/matrix_product.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

class Mlp final : public Model {
 public:
  Mlp(const v1::MlpModel& spec, const TaskShape& shape)
      : layers_(spec.hidden_size()),
        activation_(spec.activation()),
        batch_norm_(spec.batch_norm()) {
    int64_t width = ExampleSize(shape);
    for (int layer = 0; layer < layers_; ++layer) {
      const int64_t next = spec.hidden(layer);
      AddAffine(absl::StrCat("hidden", layer + 1), width, next, spec.initialisation(), parameters_);
      if (batch_norm_) {
        parameters_.pop_back();
        AddNorm(absl::StrCat("norm", layer + 1), next, parameters_);
      }
      width = next;
    }
    hidden_parameters_ = parameters_.size();
    if (shape.outputs > 0) {
      AddAffine("head", width, shape.outputs, spec.initialisation(), parameters_);
    }
  }

  Tensor Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                 const ForwardOptions& options) const override {
    const Tensor x = Features(parameters, inputs, options);
    const absl::Span<const Tensor> head = parameters.subspan(hidden_parameters_);
    return head.empty() ? x : Affine(x, head[0], head[1]);
  }

  Tensor Features(absl::Span<const Tensor> parameters, const Tensor& inputs,
                  const ForwardOptions& options) const override {
    const Tensor* parameter = parameters.data();
    Tensor x = inputs.flatten(2);
    for (int layer = 0; layer < layers_; ++layer) {
      if (batch_norm_) {
        const double slope = NegativeSlope(activation_);
        x = BatchNorm(MatrixProduct(x, parameter[0]), parameter[1], parameter[2],
                      {.negative_slope = slope, .statistics_rows = options.statistics_rows});
        x = slope == 1 ? Activate(activation_, x) : x;
        parameter += 3;
      } else {
        x = Activate(activation_, Affine(x, parameter[0], parameter[1]));
        parameter += 2;
      }
    }
    return x;
  }

  ModelScript Script(absl::Span<const Tensor> parameters) const override {
    ModelScript script{.stages = {"  x = x.flatten(1)\n"}};
    for (int layer = 1; layer <= layers_; ++layer) {
      const std::string name = absl::StrCat("hidden", layer);
      if (batch_norm_) {
        absl::StrAppend(&script.stages.back(), "  x = torch.matmul(x, self.", name, "_weight)\n");
        script.norms.push_back(absl::StrCat("norm", layer));
        script.stages.emplace_back();
      } else {
        script.stages.back() += AffineScript(name);
      }
      script.stages.back() += ActivationScript(activation_);
    }
    script.stages.back() += parameters.size() > hidden_parameters_ ? AffineScript("head") : "";
    return script;
  }

 private:
  const int layers_;
  const v1::Activation activation_;
  const bool batch_norm_;
  size_t hidden_parameters_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> CreateMlp(const v1::MlpModel& spec, const TaskShape& shape) {
  INNERLOOP_RETURN_IF_ERROR(CheckInitialisation(spec.initialisation(), "model.mlp.initialisation"));
  for (const uint32_t width : spec.hidden()) {
    if (width == 0) {
      return absl::InvalidArgumentError("model.mlp.hidden holds a 0; widths are 1 or more");
    }
  }
  if (spec.activation() == v1::ACTIVATION_UNSPECIFIED ||
      !v1::Activation_IsValid(spec.activation())) {
    return absl::InvalidArgumentError(absl::StrCat("model.mlp.activation is unknown (",
                                                   static_cast<int>(spec.activation()),
                                                   "); known: RELU, TANH, GELU, LEAKY_RELU"));
  }
  return std::make_unique<Mlp>(spec, shape);
}

}  // namespace innerloop::meta
