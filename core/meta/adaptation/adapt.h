// A user's task from the wire through an algorithm and back.
#pragma once

#include "absl/status/statusor.h"
#include "core/meta/adaptation/own_task_reader.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/program.h"

namespace innerloop::meta {

// Program::Adapt for a resolved job's algorithm at theta. LibTorch's exceptions pass through.
absl::StatusOr<AdaptationOutput> AdaptToTask(const v1::JobSpec& resolved, const TaskForm& form,
                                             const Algorithm& algorithm, const Tensors& theta,
                                             const v1::AdaptationTask& task);

}  // namespace innerloop::meta
