// The regression tasks of the MAML paper (Finn et al. 2017, section 5.1).
#pragma once

#include "core/meta/tasks/task_source.h"

namespace innerloop::meta {

// y = amplitude * sin(x - phase). Made by CreateTaskSource. Immutable; thread-safe.
//
// A task's stream of random numbers gives, in this order: amplitude, phase (53 bits each), and the
// inputs (24 bits each), those of the support set first. The split is part of the stream's key:
// splits share the distribution and no task.
class SinusoidSource : public TaskSource {
 public:
  explicit SinusoidSource(const v1::SinusoidTasks& resolved) : spec_(resolved) {}
  TaskSizes sizes() const override;
  TaskShape shape() const override;
  absl::Status Check(v1::Split split, const TaskSizes& sizes,
                     absl::string_view field) const override;
  TaskBatch Sample(const TaskKey& key, uint64_t first, uint64_t last,
                   const TaskSizes& sizes) const override;

 private:
  v1::SinusoidTasks spec_;
};

}  // namespace innerloop::meta
