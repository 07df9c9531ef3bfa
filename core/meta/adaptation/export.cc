#include "core/meta/adaptation/export.h"

#include <sstream>
#include <utility>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/support/status_macros.h"
#include "core/tensor/safetensors.h"

namespace innerloop::meta {
namespace {

// As batch norm has it in training.
constexpr double kEpsilon = 1e-5;

// A parameter or buffer: as the module's attribute, with "_" for ".", and in a safetensors file.
struct Part {
  std::string attribute;
  std::string name;
  Tensor values;
  bool parameter = false;
};

std::string AttributeOf(absl::string_view name) { return absl::StrReplaceAll(name, {{".", "_"}}); }

// The model's own parameters are those of the module that came with it, where there is one.
std::vector<Part> PartsOf(const ModelExport& model) {
  std::vector<Part> parts;
  const std::vector<ModelParameter>& parameters = model.adapted.model->parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    parts.push_back({AttributeOf(parameters[i].name),
                     absl::StrCat(model.adapted.prefix, parameters[i].name),
                     model.adapted.parameters[i].detach().clone(), /*parameter=*/true});
  }
  for (const ScriptHead::Buffer& buffer : model.adapted.head.buffers) {
    parts.push_back({buffer.name, absl::StrCat("head.", buffer.name), buffer.values.clone()});
  }
  if (model.statistics != nullptr && !model.statistics->means.empty()) {
    const auto add = [&](const std::string& name, const std::vector<float>& values) {
      parts.push_back({name, name, torch::tensor(values).view(model.input_shape)});
    };
    add("feature_means", model.statistics->means);
    add("feature_scales", model.statistics->scales);
  }
  return parts;
}

std::string SourceOf(const ModelScript& script, const ModelExport& model) {
  std::string source = script.helpers;
  std::string forward = "\ndef forward(self, inputs: Tensor) -> Tensor:\n  x = inputs\n";
  if (model.statistics != nullptr && !model.statistics->means.empty()) {
    forward += "  x = (x - self.feature_means) * self.feature_scales\n";
  }
  for (size_t i = 0; i < script.stages.size(); ++i) {
    absl::StrAppend(&source, "\ndef stage", i, "(self, x: Tensor) -> Tensor:\n", script.stages[i],
                    "  return x\n");
    absl::StrAppend(&forward, "  x = self.stage", i, "(x)\n");
    if (i < script.norms.size()) {
      const std::string self = absl::StrCat("self.", script.norms[i]);
      absl::StrAppend(&forward, "  x = (x - ", self, "_mean) * ", self, "_inverse_deviation * ",
                      self, "_scale + ", self, "_shift\n");
    }
  }
  return absl::StrCat(source, "\ndef compare(self, x: Tensor) -> Tensor:\n",
                      model.adapted.head.body, forward, "  return self.compare(x)\n");
}

// Adds the support set's statistics, norm by norm, to the module and to the parts.
void FreezeNorms(const ModelScript& script, const Tensor& support, torch::jit::Module& module,
                 std::vector<Part>& parts) {
  Tensor x = support;
  for (size_t i = 0; i < script.norms.size(); ++i) {
    const std::string& norm = script.norms[i];
    x = module.run_method(absl::StrCat("stage", i), x).toTensor();
    const Tensor rows = x.flatten(0, -2).to(torch::kDouble);
    const Tensor mean = rows.mean(0);
    const Tensor variance = (rows - mean).square().mean(0);
    const Tensor inverse = (variance + kEpsilon).rsqrt();
    const auto set = [&](const std::string& name, const Tensor& values) {
      const Tensor held = module.attr(absl::StrCat(norm, "_", name)).toTensor();
      held.copy_(values);
      parts.push_back(
          {absl::StrCat(norm, "_", name), absl::StrCat("statistics.", norm, ".", name), held});
      return held;
    };
    const Tensor held_mean = set("mean", mean);
    const Tensor held_inverse = set("inverse_deviation", inverse);
    x = (x - held_mean) * held_inverse * module.attr(norm + "_scale").toTensor() +
        module.attr(norm + "_shift").toTensor();
  }
}

// The module, and all that is in it.
torch::jit::Module MakeModule(const ModelExport& model, std::vector<Part>& parts) {
  // Thread-local: a fresh module gains nothing from its optimiser.
  torch::jit::setGraphExecutorOptimize(false);
  const ModelScript script = model.adapted.model->Script(model.adapted.parameters);
  torch::jit::Module module("AdaptedModel");
  for (const Part& part : parts) {
    if (!part.parameter || !script.own.has_value()) {
      module.register_parameter(part.attribute, part.values, /*is_buffer=*/!part.parameter);
    }
  }
  if (script.own.has_value()) {
    module.register_module("own", *script.own);
  }
  for (const std::string& norm : script.norms) {
    const Tensor like = module.attr(norm + "_scale").toTensor();
    module.register_buffer(norm + "_mean", torch::zeros_like(like));
    module.register_buffer(norm + "_inverse_deviation", torch::zeros_like(like));
  }
  module.define(SourceOf(script, model));
  FreezeNorms(script, model.support, module, parts);
  module.eval();
  return module;
}

std::string AsTorchScript(const torch::jit::Module& module, const ModelExport& model) {
  google::protobuf::Struct description;
  for (const auto& [key, value] : model.description) {
    (*description.mutable_fields())[key].set_string_value(value);
  }
  torch::jit::ExtraFilesMap extra;
  const auto status =
      google::protobuf::util::MessageToJsonString(description, &extra["innerloop.json"]);
  TORCH_CHECK(status.ok(), status.ToString());
  std::ostringstream file;
  module.save(file, extra);
  return std::move(file).str();
}

absl::StatusOr<std::string> AsSafeTensors(std::vector<Part> parts, const ModelExport& model) {
  std::vector<SafeTensor> tensors;
  for (Part& part : parts) {
    Tensor& values = part.values;
    const bool flags = values.scalar_type() == torch::kBool;
    values = values.to(flags ? torch::kByte : torch::kFloat32).contiguous();
    tensors.push_back({part.name,
                       flags ? ElementType::kU8 : ElementType::kF32,
                       values.sizes().vec(),
                       {static_cast<const char*>(values.const_data_ptr()), values.nbytes()}});
  }
  std::map<std::string, std::string> metadata = model.description;
  metadata["crc32c"] = "00000000";
  INNERLOOP_ASSIGN_OR_RETURN(SafeTensorsFile file, BuildSafeTensors(tensors, metadata));
  SealCrc32c(file);
  std::string bytes = std::move(file.header);
  for (const absl::string_view piece : file.pieces) {
    bytes.append(piece.data(), piece.size());
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> Export(const ModelExport& model, v1::ExportRequest::Format format) {
  const torch::NoGradGuard no_grad;
  if (!model.adapted.model->TakesStatisticsRows() &&
      model.transduction == v1::TRANSDUCTION_SINGLE_QUERY) {
    return absl::FailedPreconditionError(
        "this model.torchscript cannot be exported as it predicts with TRANSDUCTION_SINGLE_QUERY, "
        "each query beside the support set, which the file would not have; take "
        "TRANSDUCTION_ALL_QUERIES");
  }
  std::vector<Part> parts = PartsOf(model);
  const torch::jit::Module module = MakeModule(model, parts);
  switch (format) {
    case v1::ExportRequest::FORMAT_SAFETENSORS:
      return AsSafeTensors(std::move(parts), model);
    case v1::ExportRequest::FORMAT_TORCHSCRIPT:
      return AsTorchScript(module, model);
    default:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("format is unknown (", static_cast<int>(format),
                   "); known: FORMAT_SAFETENSORS, FORMAT_TORCHSCRIPT"));
}

}  // namespace innerloop::meta
