#include "core/meta/models/linear.h"

#include "absl/strings/str_cat.h"
#include "core/meta/models/affine.h"
#include "core/meta/models/initialiser.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

class Linear final : public Model {
 public:
  Linear(const v1::LinearModel& spec, const TaskShape& shape) {
    if (shape.outputs > 0) {
      AddAffine("head", ExampleSize(shape), shape.outputs, spec.initialisation(), parameters_);
    }
  }

  Tensor Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                 const ForwardOptions& options) const override {
    const Tensor features = Features(parameters, inputs, options);
    return parameters.empty() ? features : Affine(features, parameters[0], parameters[1]);
  }

  Tensor Features(absl::Span<const Tensor> /*parameters*/, const Tensor& inputs,
                  const ForwardOptions& /*options*/) const override {
    return inputs.flatten(2);
  }

  ModelScript Script(absl::Span<const Tensor> parameters) const override {
    return {.stages = {absl::StrCat("  x = x.flatten(1)\n",
                                    parameters.empty() ? "" : AffineScript("head"))}};
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> CreateLinear(const v1::LinearModel& spec,
                                                    const TaskShape& shape) {
  INNERLOOP_RETURN_IF_ERROR(
      CheckInitialisation(spec.initialisation(), "model.linear.initialisation"));
  return std::make_unique<Linear>(spec, shape);
}

}  // namespace innerloop::meta
