// TorchScript files for tests, made without Python.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <torch/script.h>

namespace innerloop::meta {

struct ScriptParameter {
  std::string name;
  torch::Tensor values;
};

// Writes a module with these parameters whose methods are given as source text.
inline void WriteScript(const std::string& path, const std::vector<ScriptParameter>& parameters,
                        const std::string& methods) {
  torch::jit::Module module("Model");
  for (const ScriptParameter& parameter : parameters) {
    module.register_parameter(parameter.name, parameter.values, /*is_buffer=*/false);
  }
  module.define(methods);
  module.save(path);
}

// One affine map of `inputs` to `outputs` values, with forward's body given ("x" are the inputs).
inline void WriteAffineScript(const std::string& path, int64_t inputs, int64_t outputs,
                              const std::string& body) {
  WriteScript(
      path, {{"weight", torch::randn({inputs, outputs}) * 0.3}, {"bias", torch::zeros({outputs})}},
      "def forward(self, x):\n  " + body + "\n");
}

}  // namespace innerloop::meta
