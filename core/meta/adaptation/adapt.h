// A user's task from the wire through an algorithm and back.
#pragma once

#include "absl/status/statusor.h"
#include "core/job/feature_statistics.h"
#include "core/job/job_spec.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/program.h"

namespace innerloop::meta {

// How a job's tasks look.
struct TaskForm {
  TaskShape shape;
  // Null or empty: features stay as they are. Borrowed.
  const FeatureStatistics* statistics = nullptr;
};

// Program::Adapt for a resolved job's algorithm at theta. LibTorch's exceptions pass through.
absl::StatusOr<AdaptationOutput> AdaptToTask(const v1::JobSpec& resolved, const TaskForm& form,
                                             const Algorithm& algorithm, const Tensors& theta,
                                             const v1::AdaptationTask& task);

}  // namespace innerloop::meta
