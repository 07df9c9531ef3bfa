// Affine layers with an activation between them.
#pragma once

#include "core/meta/models/model.h"

namespace innerloop::meta {

// Parameters, for hidden layers i = 1, 2, ...: "hiddenI.weight" [in, out] and "hiddenI.bias" [out],
// or with batch norm "normI.scale" and "normI.shift" [out] instead of the bias, which the norm
// would take out again; then "head.weight" and "head.bias".
absl::StatusOr<std::unique_ptr<Model>> CreateMlp(const v1::MlpModel& spec, const TaskShape& shape);

}  // namespace innerloop::meta
