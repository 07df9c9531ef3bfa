// What holds for every source of generated tasks.
#pragma once

#include <gtest/gtest.h>

#include "core/meta/tasks/task_source.h"

namespace innerloop::meta {

constexpr TaskKey kKey{.seed = 3, .split = v1::SPLIT_TRAIN, .iteration = 8};

// A task is the same whatever is drawn beside it, and however its examples (`shots` + 8 of them,
// as many as the source gives) are cut into support and queries.
inline void ExpectTasksStandAlone(const TaskSource& source, int64_t shots) {
  const TaskBatch many = source.Sample(kKey, 0, 9, source.sizes());
  const TaskBatch one = source.Sample(kKey, 6, 7, {.ways = 1, .shots = shots, .queries = 8});
  const auto all = [](const TaskBatch& tasks, int64_t t) {
    return torch::cat({torch::cat({tasks.support.inputs, tasks.query.inputs}, 1)[t],
                       torch::cat({tasks.support.targets, tasks.query.targets}, 1)[t]},
                      1);
  };
  EXPECT_TRUE(torch::equal(all(many, 6), all(one, 0)));
  EXPECT_FALSE(torch::equal(all(many, 5), all(one, 0)));
}

inline void ExpectOtherTasksForOtherKeys(const TaskSource& source) {
  const Tensor inputs = source.Sample(kKey, 0, 1, source.sizes()).support.inputs;
  TaskKey split = kKey;
  split.split = v1::SPLIT_TEST;
  TaskKey iteration = kKey;
  iteration.iteration += 1;
  TaskKey seed = kKey;
  seed.seed += 1;
  for (const TaskKey& key : {split, iteration, seed}) {
    EXPECT_FALSE(torch::equal(source.Sample(key, 0, 1, source.sizes()).support.inputs, inputs));
  }
}

inline void ExpectWaysAreRefused(const TaskSource& source) {
  const absl::Status status =
      source.Check(v1::SPLIT_TEST, {.ways = 5, .shots = 1, .queries = 1}, "evaluation.final");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("evaluation.final asks for 5 ways"), absl::string_view::npos);
}

}  // namespace innerloop::meta
