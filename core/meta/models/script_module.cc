#include "core/meta/models/script_module.h"

#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("model.torchscript: ", parts...));
}

bool IsRunningStatistic(absl::string_view name) {
  return absl::EndsWith(name, "running_mean") || absl::EndsWith(name, "running_var");
}

}  // namespace

std::string ReasonOf(const std::exception& error) {
  const auto* c10_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text =
      c10_error != nullptr ? c10_error->what_without_backtrace() : std::string(error.what());
  absl::string_view reason = text;
  constexpr absl::string_view kRaised = "RuntimeError: ";
  const size_t trace = reason.find("Traceback of TorchScript");
  if (trace != absl::string_view::npos) {
    if (const size_t raised = reason.rfind(kRaised); raised != absl::string_view::npos) {
      reason.remove_prefix(raised + kRaised.size());
    }
  }
  return std::string(reason.substr(0, reason.find('\n')));
}

absl::StatusOr<ScriptModule> ScriptModule::Load(const std::string& path) {
  // Thread-local. Its optimiser profiles the first calls and fuses operators afterwards: neither
  // the same bits for every call, nor able to take parameters with a graph.
  torch::jit::setGraphExecutorOptimize(false);
  try {
    ScriptModule module(torch::jit::load(path, torch::kCPU));
    module.module_.eval();
    INNERLOOP_RETURN_IF_ERROR(module.FindParameters());
    INNERLOOP_RETURN_IF_ERROR(module.CheckBuffers());
    return module;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return Refuse(
        "the file is damaged, or is not one that torch.jit.script(module).save(FILE) wrote "
        "(torch.save "
        "writes others): ",
        ReasonOf(error));
  }
}

absl::Status ScriptModule::FindParameters() {
  for (const auto& owner : module_.named_modules()) {
    for (const auto& parameter : owner.value.named_parameters(/*recurse=*/false)) {
      const std::string name =
          owner.name.empty() ? parameter.name : absl::StrCat(owner.name, ".", parameter.name);
      if (parameter.value.scalar_type() != torch::kFloat) {
        return Refuse("the parameter '", name, "' holds ",
                      c10::toString(parameter.value.scalar_type()), "; Float (float32) is right");
      }
      size_t index = 0;
      while (index < stored_.size() && !stored_[index].is_same(parameter.value)) {
        ++index;
      }
      if (index == stored_.size()) {
        stored_.push_back(parameter.value);
        parameters_.push_back({name, parameter.value.detach().contiguous()});
      }
      slots_.push_back({owner.value, parameter.name, index});
    }
  }
  return parameters_.empty() ? Refuse("the module has no parameters to adapt (was it frozen?)")
                             : absl::OkStatus();
}

absl::Status ScriptModule::CheckBuffers() {
  for (const auto& buffer : module_.named_buffers(/*recurse=*/true)) {
    if (IsRunningStatistic(buffer.name)) {
      return Refuse("the buffer '", buffer.name,
                    "' is a running statistic, which all tasks would share; make the layer with "
                    "track_running_stats=False");
    }
    buffers_.push_back({buffer.name, buffer.value, buffer.value.clone()});
  }
  return absl::OkStatus();
}

std::string ScriptModule::ChangedBuffer() const {
  for (const Buffer& buffer : buffers_) {
    if (!at::equal(buffer.now, buffer.stored)) {
      return buffer.name;
    }
  }
  return "";
}

void ScriptModule::SetParameters(absl::Span<const Tensor> values) {
  for (Slot& slot : slots_) {
    slot.owner.setattr(slot.attribute, values[slot.index]);
  }
}

torch::jit::Module ScriptModule::With(absl::Span<const Tensor> values) && {
  Tensors copies;
  copies.reserve(values.size());
  for (const Tensor& value : values) {
    copies.push_back(value.detach().clone());
  }
  SetParameters(copies);
  return std::move(module_);
}

Tensor ScriptModule::Call(absl::Span<const Tensor> values, const Tensor& inputs) {
  torch::jit::setGraphExecutorOptimize(false);
  std::string reason;
  try {
    // The module must not keep the graph, nor tensors of a vmap that ends.
    const absl::Cleanup put_back = [this] { SetParameters(stored_); };
    SetParameters(values);
    const torch::jit::IValue result = module_.forward({inputs});
    TORCH_CHECK(result.isTensor(), "returns a ", result.tagKind(), "; a Tensor is right");
    return result.toTensor();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    reason = ReasonOf(error);
  }
  if (absl::StrContains(reason, "std::bad_alloc")) {
    throw std::bad_alloc();
  }
  TORCH_CHECK(false, "the model's forward: ", reason);
}

}  // namespace innerloop::meta
