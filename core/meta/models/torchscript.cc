#include "core/meta/models/torchscript.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "core/meta/models/torchscript_trial.h"
#include "core/meta/ops/vmap.h"
#include "core/support/logging.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {

absl::StatusOr<std::unique_ptr<ScriptedModel>> ScriptedModel::Create(
    const v1::TorchScriptModel& spec, const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(ScriptModule module, ScriptModule::Load(spec.file()));
  INNERLOOP_RETURN_IF_ERROR(TryModule(module, shape));
  auto model = absl::WrapUnique(new ScriptedModel(spec.file()));
  for (const ScriptModule::Parameter& parameter : module.parameters()) {
    model->parameters_.push_back({parameter.name,
                                  parameter.values.sizes().vec(),
                                  {.kind = Initialiser::Kind::kGiven, .given = parameter.values}});
  }
  model->mixes_examples_ = MixesExamples(module, shape);
  model->GiveBack(std::make_unique<ScriptModule>(std::move(module)));
  INNERLOOP_ASSIGN_OR_RETURN(model->why_one_at_a_time_, WhyNotAtOnce(*model, shape));
  if (!model->why_one_at_a_time_.empty()) {
    LogWarning(absl::StrCat("the model's tasks are computed one at a time, which is slower: ",
                            model->why_one_at_a_time_));
  }
  return model;
}

std::unique_ptr<ScriptModule> ScriptedModel::Take() const {
  {
    absl::MutexLock lock(&mu_);
    if (!idle_.empty()) {
      std::unique_ptr<ScriptModule> module = std::move(idle_.back());
      idle_.pop_back();
      return module;
    }
  }
  // Copies of one module would share its functions with it.
  absl::StatusOr<ScriptModule> module = ScriptModule::Load(path_);
  TORCH_CHECK(module.ok(), std::string(module.status().message()));
  return std::make_unique<ScriptModule>(*std::move(module));
}

void ScriptedModel::GiveBack(std::unique_ptr<ScriptModule> module) const {
  absl::MutexLock lock(&mu_);
  idle_.push_back(std::move(module));
}

template <typename Compute>
Tensor ScriptedModel::WithModule(const Compute& compute) const {
  std::unique_ptr<ScriptModule> module = Take();
  const absl::Cleanup give_back = [&] { GiveBack(std::move(module)); };
  return compute(*module);
}

Tensor ScriptedModel::Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                              const ForwardOptions& options) const {
  TORCH_CHECK(options.statistics_rows < 0 || !mixes_examples_,
              "TRANSDUCTION_SUPPORT_STATISTICS is not possible with this model.torchscript: its "
              "outputs for an example depend on the other examples, in a way that only the module "
              "knows; take TRANSDUCTION_ALL_QUERIES or TRANSDUCTION_SINGLE_QUERY");
  return why_one_at_a_time_.empty() ? AllTasksAtOnce(parameters, inputs)
                                    : OneTaskAtATime(parameters, inputs);
}

Tensor ScriptedModel::AllTasksAtOnce(absl::Span<const Tensor> parameters,
                                     const Tensor& inputs) const {
  return WithModule([&](ScriptModule& module) {
    const TaskMap map(inputs.size(0));
    Tensors values;
    values.reserve(parameters.size());
    for (const Tensor& parameter : parameters) {
      values.push_back(map.Enter(parameter));
    }
    return map.Leave(module.Call(values, map.Enter(AsModulesSee(inputs))));
  });
}

Tensor ScriptedModel::OneTaskAtATime(absl::Span<const Tensor> parameters,
                                     const Tensor& inputs) const {
  return WithModule([&](ScriptModule& module) {
    const Tensor seen = AsModulesSee(inputs);
    Tensors outputs;
    Tensors values(parameters.size());
    for (int64_t t = 0; t < seen.size(0); ++t) {
      for (size_t i = 0; i < parameters.size(); ++i) {
        values[i] = parameters[i].select(0, t);
      }
      outputs.push_back(module.Call(values, seen.select(0, t)));
    }
    return at::stack(outputs);
  });
}

ModelScript ScriptedModel::Script(absl::Span<const Tensor> parameters) const {
  absl::StatusOr<ScriptModule> module = ScriptModule::Load(path_);
  TORCH_CHECK(module.ok(), std::string(module.status().message()));
  // Modules see images with their channels first.
  return {.stages = {"  x = self.own.forward(x.permute([0, 3, 1, 2]).contiguous() if x.dim() == 4 "
                     "else x)\n"},
          .own = std::move(*module).With(parameters)};
}

}  // namespace innerloop::meta
