// Linear regression in several dimensions: tasks that are maps drawn at random.
#pragma once

#include <vector>

#include "core/meta/tasks/task_source.h"

namespace innerloop::meta {

// y = W x + b + noise with x ~ N(0, 1)^inputs. Made by CreateTaskSource. Immutable; thread-safe.
//
// Entries of W are N(0, 1 / inputs), those of b N(0, 1): sqrt(shared) times a common draw plus
// sqrt(1 - shared) times the task's own. The common draw has a stream of its own that no seed
// enters: evaluations have other seeds than training and must meet the same maps.
//
// A task's stream of random numbers gives, in this order: W by inputs, then outputs; b; and for
// each example, those of the support set first, x and, where there is any, the noise.
class RandomMapSource : public TaskSource {
 public:
  explicit RandomMapSource(const v1::RandomMapTasks& resolved);
  TaskSizes sizes() const override;
  TaskShape shape() const override;
  absl::Status Check(v1::Split split, const TaskSizes& sizes,
                     absl::string_view field) const override;
  TaskBatch Sample(const TaskKey& key, uint64_t first, uint64_t last,
                   const TaskSizes& sizes) const override;

 private:
  v1::RandomMapTasks spec_;
  // W [inputs, outputs] and b [outputs] behind it, common to all tasks.
  std::vector<double> common_;
};

}  // namespace innerloop::meta
