// A task for each group of a data set: a user, a machine, an assay.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/job/feature_statistics.h"
#include "core/meta/tasks/task_source.h"
#include "core/support/random.h"

namespace innerloop::meta {

// Made by CreateTaskSource. Thread-safe.
//
// A task's stream of random numbers gives the group, uniformly among those of the split that the
// sizes leave (in the data set's order), then an order of its examples. The support set takes the
// first `shots`, the query set the next `queries`. With `stratified` the whole order is drawn, the
// support set takes from it by turns the next example of each class (classes in the order in which
// they first come), and a second order of the others gives the query set: which it is depends on
// `shots`. With SMALL_GROUPS_PAD every batch has weights.
class GroupedSource : public TaskSource {
 public:
  static absl::StatusOr<std::unique_ptr<TaskSource>> Create(const v1::GroupedTasks& resolved,
                                                            std::shared_ptr<const Dataset> dataset);
  TaskSizes sizes() const override;
  TaskShape shape() const override;
  const FeatureStatistics* statistics() const override { return &statistics_; }
  absl::Status Check(v1::Split split, const TaskSizes& sizes,
                     absl::string_view field) const override;
  TaskBatch Sample(const TaskKey& key, uint64_t first, uint64_t last,
                   const TaskSizes& sizes) const override;

 private:
  GroupedSource(const v1::GroupedTasks& resolved, std::shared_ptr<const Dataset> dataset,
                ClassLists groups)
      : spec_(resolved), dataset_(std::move(dataset)), groups_(std::move(groups)) {}
  // Those of the split that tasks of these sizes are drawn from, found once for each size; they
  // stay where they are.
  absl::StatusOr<const std::vector<uint32_t>*> Usable(v1::Split split, const TaskSizes& sizes,
                                                      absl::string_view field) const
      ABSL_LOCKS_EXCLUDED(mu_);
  Examples Allocate(int64_t tasks, int64_t count) const;
  // The first `support` and then `queries` of a group's examples in a random order, by index.
  std::vector<int64_t> Draw(CounterRandom& random, uint32_t group, int64_t support,
                            int64_t queries) const;
  // These examples to the first places of task `task`; what remains is padding.
  void Fill(absl::Span<const int64_t> chosen, int64_t task, Examples& examples) const;
  void CopyInputs(int64_t example, float* inputs) const;

  const v1::GroupedTasks spec_;
  const std::shared_ptr<const Dataset> dataset_;
  const ClassLists groups_;
  FeatureStatistics statistics_;

  mutable absl::Mutex mu_;
  // By split, shots and queries.
  mutable std::map<std::tuple<v1::Split, int64_t, int64_t>, std::vector<uint32_t>> usable_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::meta
