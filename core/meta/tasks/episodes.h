// N-way K-shot classification tasks from a data set of labelled examples.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/meta/tasks/task_source.h"

namespace innerloop::meta {

// Made by CreateTaskSource. Immutable; thread-safe.
//
// A task's stream of random numbers gives, in this order: the group (within_group alone), the
// classes, and for each class its rotation (ROTATIONS_AUGMENT alone) and the seed of a stream of
// its own, which puts the class's examples in order: the first `shots` are its support set, the
// next `queries` its queries. Rows are sorted by class, then by that order; labels are 0..ways-1 in
// the order in which the classes were drawn. Pixels are divided by 255.
class EpisodeSource : public TaskSource {
 public:
  static absl::StatusOr<std::unique_ptr<TaskSource>> Create(const v1::EpisodeTasks& resolved,
                                                            std::shared_ptr<const Dataset> dataset);
  TaskSizes sizes() const override;
  TaskShape shape() const override;
  absl::Status Check(v1::Split split, const TaskSizes& sizes,
                     absl::string_view field) const override;
  TaskBatch Sample(const TaskKey& key, uint64_t first, uint64_t last,
                   const TaskSizes& sizes) const override;

 private:
  // What counts as one class of a task: a class of the data set and the quarter turns
  // (counter-clockwise) of all its images.
  struct RotatedClass {
    uint32_t index;
    int turns;
  };
  // Of one split: one list without within_group, else one for each group.
  using Part = std::vector<std::vector<RotatedClass>>;

  EpisodeSource(const v1::EpisodeTasks& resolved, std::shared_ptr<const Dataset> dataset,
                ClassLists lists)
      : spec_(resolved), dataset_(std::move(dataset)), lists_(std::move(lists)) {}
  Part MakePart(v1::Split split) const;
  // Example `example` in place `row` of [*, input shape].
  void CopyExample(int64_t example, int turns, int64_t row, float* inputs) const;

  const v1::EpisodeTasks spec_;
  const std::shared_ptr<const Dataset> dataset_;
  const ClassLists lists_;
  std::array<Part, v1::Split_ARRAYSIZE> parts_;
};

}  // namespace innerloop::meta
