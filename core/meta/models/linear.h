// inputs -> outputs, one affine map.
#pragma once

#include "core/meta/models/model.h"

namespace innerloop::meta {

// Parameters "head.weight" [D, outputs] and "head.bias" [outputs], D the size of an example.
absl::StatusOr<std::unique_ptr<Model>> CreateLinear(const v1::LinearModel& spec,
                                                    const TaskShape& shape);

}  // namespace innerloop::meta
