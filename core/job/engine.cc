#include "core/job/engine.h"

#include <algorithm>

#include "core/job/checks.h"
#include "core/job/resolve_parts.h"

namespace innerloop {
namespace {

constexpr uint32_t kFusedWidth = 256;

// The terms that an absent objective stands for.
bool IsQueryLossAlone(const v1::MetaObjective& objective) {
  return objective.terms_size() == 0 ||
         (objective.terms_size() == 1 && objective.terms(0).has_query_loss() &&
          objective.terms(0).weight() == 1);
}

bool IsSmall(const v1::ModelSpec& model, const TaskShape* shape) {
  const bool small_ends = shape != nullptr && shape->outputs <= kFusedWidth &&
                          shape->input.size() == 1 && shape->input[0] <= kFusedWidth;
  return small_ends && std::all_of(model.mlp().hidden().begin(), model.mlp().hidden().end(),
                                   [](uint32_t width) { return width <= kFusedWidth; });
}

}  // namespace

std::string WhyNotFused(const v1::JobSpec& resolved) {
  const v1::ModelSpec& model = resolved.model();
  if (model.has_conv4()) {
    return "model.conv4";
  }
  if (model.has_torchscript()) {
    return "model.torchscript";
  }
  if (model.has_mlp() && model.mlp().batch_norm()) {
    return "model.mlp.batch_norm";
  }
  if (model.has_mlp() && model.mlp().activation() == v1::ACTIVATION_GELU) {
    return "ACTIVATION_GELU";
  }
  if (!resolved.algorithm().has_maml()) {
    return "algorithms other than maml";
  }
  const v1::InnerOptimizer& inner = resolved.algorithm().maml().inner_optimizer();
  if (!inner.has_sgd()) {
    return "inner optimisers other than sgd";
  }
  if (inner.proximal() > 0) {
    return "inner_optimizer.proximal";
  }
  if (!IsQueryLossAlone(resolved.objective())) {
    return "objectives other than the query loss";
  }
  // A loss that the data set is still to decide is one of these two.
  const v1::LossSpec::Kind loss = resolved.loss().kind();
  if (loss == v1::LossSpec::KIND_HUBER || loss == v1::LossSpec::KIND_BINARY_CROSS_ENTROPY) {
    return "losses other than KIND_MSE and KIND_CROSS_ENTROPY";
  }
  return "";
}

namespace job {

absl::Status ResolveEngine(v1::JobSpec& spec, const TaskShape* shape) {
  v1::ComputeSpec& compute = *spec.mutable_compute();
  if (!v1::ComputeSpec::Engine_IsValid(compute.engine())) {
    return absl::InvalidArgumentError("compute.engine has an unknown value");
  }
  const std::string why_not = WhyNotFused(spec);
  if (compute.engine() == v1::ComputeSpec::ENGINE_FUSED && !why_not.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "compute.engine is ENGINE_FUSED, which does not know ", why_not, "; leave it out"));
  }
  // Without its data set the size of a job's inputs is not known: decide when it is.
  const bool decidable = shape != nullptr || !why_not.empty();
  if (compute.engine() == v1::ComputeSpec::ENGINE_UNSPECIFIED && decidable) {
    compute.set_engine(why_not.empty() && IsSmall(spec.model(), shape)
                           ? v1::ComputeSpec::ENGINE_FUSED
                           : v1::ComputeSpec::ENGINE_AUTOGRAD);
  }
  return absl::OkStatus();
}

}  // namespace job
}  // namespace innerloop
