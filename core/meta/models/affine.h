// Affine layers of task-batched models.
#pragma once

#include <string>
#include <vector>

#include "core/meta/models/model.h"

namespace innerloop::meta {

// Numbers in one example.
int64_t ExampleSize(const TaskShape& shape);

// Adds "NAME.weight" [inputs, outputs] and "NAME.bias" [outputs].
void AddAffine(const std::string& name, int64_t inputs, int64_t outputs, v1::Initialisation scheme,
               std::vector<ModelParameter>& parameters);

// Adds "NAME.scale" and "NAME.shift" [channels].
void AddNorm(const std::string& name, int64_t channels, std::vector<ModelParameter>& parameters);

// x [T, n, inputs], weight [T, inputs, outputs], bias [T, outputs] -> [T, n, outputs].
Tensor Affine(const Tensor& x, const Tensor& weight, const Tensor& bias);
// As a line of a ModelScript, by the parameters that AddAffine added.
std::string AffineScript(const std::string& name);

}  // namespace innerloop::meta
