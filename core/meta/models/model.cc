#include "core/meta/models/model.h"

#include "absl/strings/str_cat.h"
#include "core/meta/models/conv4.h"
#include "core/meta/models/linear.h"
#include "core/meta/models/mlp.h"
#include "core/meta/models/torchscript.h"

namespace innerloop::meta {

absl::StatusOr<std::unique_ptr<Model>> CreateModel(const v1::ModelSpec& spec,
                                                   const TaskShape& shape) {
  if (spec.outputs() != 0 && static_cast<int64_t>(spec.outputs()) != shape.outputs) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.outputs is ", spec.outputs(), "; the tasks ask for ", shape.outputs));
  }
  switch (spec.kind_case()) {
    case v1::ModelSpec::kLinear:
      return CreateLinear(spec.linear(), shape);
    case v1::ModelSpec::kMlp:
      return CreateMlp(spec.mlp(), shape);
    case v1::ModelSpec::kConv4:
      return CreateConv4(spec.conv4(), shape);
    case v1::ModelSpec::kTorchscript:
      return ScriptedModel::Create(spec.torchscript(), shape);
    case v1::ModelSpec::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("model is not set; known: linear, mlp, conv4, torchscript");
}

}  // namespace innerloop::meta
