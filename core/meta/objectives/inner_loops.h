// A chunk's inner loops as the terms of a meta-objective see them.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "core/meta/models/model.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// theta_0 .. theta_K of T tasks' inner loops, each a list of [T, ...] tensors: leaves, or carrying
// the loop's graph.
struct InnerPath {
  // Those between the first and the last may be empty where no term looks at them.
  std::vector<Tensors> points;

  // Makes `next` the last point. Forgets the one before, unless it is the first or `keep_all`.
  void Append(Tensors next, bool keep_all) {
    if (!keep_all && points.size() > 1) {
      points.back().clear();
    }
    points.push_back(std::move(next));
  }
};

// The two disjoint support sets of tasks that were drawn with twice their shots.
struct SupportSets {
  TaskBatch tasks;  // with the first support set, and the queries
  std::optional<Examples> second;
};

// Of each class's examples every other one is for the second set, so that the sets have the same
// classes; without classes, of all. Tasks with padding share it among their sets.
SupportSets SplitSupport(const TaskBatch& tasks);

// Made by an algorithm for one chunk; one thread only. What it refers to must outlive it.
class InnerLoops {
 public:
  struct Queries {
    Tensor outputs;  // [T, n, O]
    Tensor losses;   // [T]
  };

  // `path` is what the tasks adapt to from their support set, `second` from their second one; empty
  // where the objective needs none.
  InnerLoops(const Model& model, const v1::LossSpec& loss, const TaskBatch& tasks, InnerPath path,
             InnerPath second = {})
      : model_(model),
        loss_(loss),
        tasks_(tasks),
        path_(std::move(path)),
        second_(std::move(second)) {}

  const Model& model() const { return model_; }
  const TaskBatch& tasks() const { return tasks_; }
  const InnerPath& path() const { return path_; }
  const InnerPath& second() const { return second_; }
  // Frees the point `step` of both paths: nobody will look at it again.
  void Forget(size_t step) {
    path_.points[step].clear();
    if (!second_.points.empty()) {
      second_.points[step].clear();
    }
  }
  // K.
  size_t steps() const { return path_.points.size() - 1; }
  // The query set at the path's point `step`; computed once while it is the last point, or the
  // point most recently asked for, so that terms share a forward pass.
  const Queries& QueriesAt(size_t step);

 private:
  const Model& model_;
  const v1::LossSpec& loss_;
  const TaskBatch& tasks_;
  InnerPath path_;
  InnerPath second_;
  std::optional<Queries> at_last_;
  std::optional<Queries> between_;
  size_t between_step_ = 0;
};

}  // namespace innerloop::meta
