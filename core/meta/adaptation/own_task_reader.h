// A user's task as it came over the wire.
#pragma once

#include "absl/status/statusor.h"
#include "core/job/feature_statistics.h"
#include "core/job/job_spec.h"
#include "core/meta/algorithms/own_task.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::meta {

// How a job's tasks look.
struct TaskForm {
  TaskShape shape;
  // All tasks have the same classes (groups'), whether or not they have examples of them.
  bool shared_classes = false;
  // Any number of classes can be told apart.
  bool any_classes = false;
  // Null or empty: features stay as they are. Borrowed.
  const FeatureStatistics* statistics = nullptr;
};

// Checks everything and makes tensors of it. INVALID_ARGUMENT names the field, what it has and what
// the model takes.
absl::StatusOr<OwnTask> ReadOwnTask(const v1::AdaptationTask& task, const TaskForm& form);

}  // namespace innerloop::meta
