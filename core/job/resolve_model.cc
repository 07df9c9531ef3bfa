#include "absl/strings/str_join.h"
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

absl::Status ResolveInitialisation(absl::string_view field, v1::Initialisation fallback,
                                   auto& model) {
  v1::Initialisation value = model.initialisation();
  INNERLOOP_RETURN_IF_ERROR(OrDefault(field, value, fallback, v1::Initialisation_IsValid));
  model.set_initialisation(value);
  return absl::OkStatus();
}

absl::Status ResolveMlp(v1::MlpModel& mlp) {
  if (mlp.hidden_size() > 64) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.mlp.hidden has ", mlp.hidden_size(), " layers; at most 64"));
  }
  for (int i = 0; i < mlp.hidden_size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(
        InRange(absl::StrCat("model.mlp.hidden[", i, "]"), mlp.hidden(i), 1U, 65536U));
  }
  v1::Activation activation = mlp.activation();
  INNERLOOP_RETURN_IF_ERROR(
      OrDefault("model.mlp.activation", activation, v1::ACTIVATION_RELU, v1::Activation_IsValid));
  mlp.set_activation(activation);
  return ResolveInitialisation("model.mlp.initialisation", v1::INITIALISATION_HE_NORMAL, mlp);
}

absl::Status ResolveConv4(v1::Conv4Model& conv4, const TaskShape* shape) {
  if (conv4.filters() == 0) {
    conv4.set_filters(64);
  }
  INNERLOOP_RETURN_IF_ERROR(InRange("model.conv4.filters", conv4.filters(), 1U, 4096U));
  auto downsampling = conv4.downsampling();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("model.conv4.downsampling", downsampling,
                                      v1::Conv4Model::DOWNSAMPLING_STRIDE,
                                      v1::Conv4Model::Downsampling_IsValid));
  conv4.set_downsampling(downsampling);
  auto norm = conv4.norm();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("model.conv4.norm", norm, v1::Conv4Model::NORM_BATCH,
                                      v1::Conv4Model::Norm_IsValid));
  conv4.set_norm(norm);
  auto head = conv4.head();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("model.conv4.head", head,
                                      downsampling == v1::Conv4Model::DOWNSAMPLING_STRIDE
                                          ? v1::Conv4Model::HEAD_SPATIAL_MEAN
                                          : v1::Conv4Model::HEAD_FLATTEN,
                                      v1::Conv4Model::Head_IsValid));
  conv4.set_head(head);
  INNERLOOP_RETURN_IF_ERROR(ResolveInitialisation("model.conv4.initialisation",
                                                  v1::INITIALISATION_GLOROT_UNIFORM, conv4));
  if (shape == nullptr) {
    return absl::OkStatus();
  }
  if (shape->input.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.conv4 needs images [H, W, C]; the tasks have inputs of shape [",
                     absl::StrJoin(shape->input, ", "), "]: choose mlp or linear"));
  }
  if (downsampling == v1::Conv4Model::DOWNSAMPLING_MAX_POOL &&
      (shape->input[0] < 16 || shape->input[1] < 16)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.conv4.downsampling by four max-poolings needs images of 16x16 or "
                     "more; the tasks have ",
                     shape->input[0], "x", shape->input[1], ": choose DOWNSAMPLING_STRIDE"));
  }
  return absl::OkStatus();
}

absl::Status ResolveTorchScript(v1::TorchScriptModel& model) {
  if (model.sha256().empty() && model.file().empty()) {
    return absl::InvalidArgumentError(
        "model.torchscript.file is missing: the TorchScript file that torch.jit.save wrote");
  }
  if (!IsSha256Hex(model.sha256()) || model.bytes() == 0) {
    return absl::InvalidArgumentError(
        "model.torchscript.sha256 and bytes do not describe a file; a client fills them in from "
        "model.torchscript.file");
  }
  model.clear_file();
  return absl::OkStatus();
}

}  // namespace

absl::Status ResolveModel(v1::JobSpec& spec, const TaskShape* shape) {
  v1::ModelSpec& model = *spec.mutable_model();
  if (shape != nullptr && model.outputs() != 0 && !IsMetric(spec.algorithm()) &&
      model.outputs() != shape->outputs) {
    return absl::InvalidArgumentError(absl::StrCat("model.outputs is ", model.outputs(),
                                                   "; the tasks ask for ", shape->outputs,
                                                   shape->classification ? " (their ways)" : ""));
  }
  switch (model.kind_case()) {
    case v1::ModelSpec::kLinear:
      return ResolveInitialisation("model.linear.initialisation", v1::INITIALISATION_GLOROT_UNIFORM,
                                   *model.mutable_linear());
    case v1::ModelSpec::kMlp:
      return ResolveMlp(*model.mutable_mlp());
    case v1::ModelSpec::kConv4:
      return ResolveConv4(*model.mutable_conv4(), shape);
    case v1::ModelSpec::kTorchscript:
      return ResolveTorchScript(*model.mutable_torchscript());
    case v1::ModelSpec::KIND_NOT_SET:
      break;
  }
  return Missing("model", "linear, mlp, conv4 or torchscript");
}

}  // namespace innerloop::job
