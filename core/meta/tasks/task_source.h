// Where tasks come from.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/dataset/dataset.h"
#include "core/job/feature_statistics.h"
#include "core/job/job_spec.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// How large tasks are. For classification shots and queries are per class; for regression `ways`
// is 1.
struct TaskSizes {
  int64_t ways = 1;
  int64_t shots = 1;
  int64_t queries = 1;
};

// Immutable; Sample may be called from several threads at once.
class TaskSource {
 public:
  virtual ~TaskSource() = default;
  // As the job has it.
  virtual TaskSizes sizes() const = 0;
  virtual TaskShape shape() const = 0;
  // By which features are standardised; null for sources that do no such thing.
  virtual const FeatureStatistics* statistics() const { return nullptr; }
  // Whether tasks of these sizes can be drawn from the split: OK, or INVALID_ARGUMENT that begins
  // with `field`, the name of what asks for them. Sample wants sizes that pass.
  virtual absl::Status Check(v1::Split split, const TaskSizes& sizes,
                             absl::string_view field) const = 0;
  // Tasks [first, last), float32 on the CPU. Task t is a function of (key, t): the same whatever
  // tasks it is sampled together with. `sizes` say only how much of it is seen: a task's examples
  // come in one order, the support set takes the first and the query set those that follow.
  virtual TaskBatch Sample(const TaskKey& key, uint64_t first, uint64_t last,
                           const TaskSizes& sizes) const = 0;
};

// `dataset` is null for generated tasks. INVALID_ARGUMENT names the field of the spec.
absl::StatusOr<std::unique_ptr<TaskSource>> CreateTaskSource(
    const v1::TaskSource& spec, std::shared_ptr<const Dataset> dataset);

}  // namespace innerloop::meta
