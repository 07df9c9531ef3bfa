// A TorchScript module as a function of its parameters.
#pragma once

#include <string>
#include <vector>

#include <torch/script.h>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// In evaluation mode: dropout is off. Made by ScriptedModel, one for each thread that computes;
// one thread at a time.
class ScriptModule {
 public:
  struct Parameter {
    std::string name;  // e.g. "layers.0.weight"
    Tensor values;     // as the file has them, float32
  };

  // INVALID_ARGUMENT: the file cannot be read, or its module has no parameters, some that are not
  // float32, or layers with running statistics.
  static absl::StatusOr<ScriptModule> Load(const std::string& path);

  // A tensor under several names (tied weights) is one parameter.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Calls forward with these values for the parameters, which may carry a graph and be vmap's.
  // What it raises is thrown as a c10::Error of one line, or as std::bad_alloc.
  Tensor Call(absl::Span<const Tensor> values, const Tensor& inputs);
  // The module with copies of these values for its parameters.
  torch::jit::Module With(absl::Span<const Tensor> values) &&;
  // Name of a buffer whose values differ from the file's; empty when there is none.
  std::string ChangedBuffer() const;

 private:
  // An attribute that holds parameter `index`.
  struct Slot {
    torch::jit::Module owner;
    std::string attribute;
    size_t index;
  };
  struct Buffer {
    std::string name;
    Tensor now;
    Tensor stored;
  };

  explicit ScriptModule(torch::jit::Module module) : module_(std::move(module)) {}
  absl::Status FindParameters();
  absl::Status CheckBuffers();
  void SetParameters(absl::Span<const Tensor> values);

  torch::jit::Module module_;
  std::vector<Parameter> parameters_;
  Tensors stored_;
  std::vector<Slot> slots_;
  std::vector<Buffer> buffers_;
};

// What an exception says, in one line. TorchScript puts a stack trace before it.
std::string ReasonOf(const std::exception& error);

}  // namespace innerloop::meta
