#include "core/meta/algorithms/inner_batches.h"

#include <set>

#include <gtest/gtest.h>

namespace innerloop::meta {
namespace {

// Two inputs a row: the task and the row.
TaskBatch NumberedTasks(uint64_t first, int64_t tasks, int64_t rows) {
  TaskBatch batch{.key = {.seed = 9, .iteration = 2}, .first_task = first};
  const Tensor task = torch::arange(tasks).add(static_cast<int64_t>(first));
  batch.support.inputs = torch::stack(
      {task.unsqueeze(1).expand({tasks, rows}), torch::arange(rows).expand({tasks, rows})}, 2);
  batch.support.targets = torch::arange(rows).expand({tasks, rows});
  return batch;
}

TEST(InnerBatches, UseEveryExampleOnceBeforeAnyIsUsedAgain) {
  const TaskBatch tasks = NumberedTasks(0, /*tasks=*/3, /*rows=*/10);
  InnerBatches batches(tasks, 4);
  std::vector<std::vector<int64_t>> drawn(3);
  for (int step = 0; step < 5; ++step) {  // 20 examples: two rounds, one batch straddling them
    const Examples batch = batches.Next();
    ASSERT_EQ(batch.inputs.sizes(), (std::vector<int64_t>{3, 4, 2}));
    for (int64_t t = 0; t < 3; ++t) {
      for (int64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(batch.inputs[t][i][0].item<int64_t>(), t);
        const auto row = batch.inputs[t][i][1].item<int64_t>();
        EXPECT_EQ(batch.targets[t][i].item<int64_t>(), row);
        drawn[static_cast<size_t>(t)].push_back(row);
      }
    }
  }
  for (const auto& rows : drawn) {
    EXPECT_EQ(std::set<int64_t>(rows.begin(), rows.begin() + 10).size(), 10U);
    EXPECT_EQ(std::set<int64_t>(rows.begin() + 10, rows.end()).size(), 10U);
    EXPECT_NE(std::vector<int64_t>(rows.begin(), rows.begin() + 10),
              std::vector<int64_t>(rows.begin() + 10, rows.end()));
  }
  EXPECT_NE(drawn[0], drawn[1]);
}

TEST(InnerBatches, OfATaskDoNotDependOnTheTasksBesideIt) {
  const TaskBatch many = NumberedTasks(0, 5, 10);
  const TaskBatch one = NumberedTasks(3, 1, 10);
  InnerBatches of_many(many, 4);
  InnerBatches of_one(one, 4);
  for (int step = 0; step < 4; ++step) {
    EXPECT_TRUE(torch::equal(of_many.Next().inputs[3], of_one.Next().inputs[0]));
  }
}

TEST(InnerBatches, OfSizeZeroOrAllAreTheWholeSupportSet) {
  const TaskBatch tasks = NumberedTasks(0, 2, 6);
  for (const int64_t size : {0, 6}) {
    InnerBatches batches(tasks, size);
    EXPECT_TRUE(torch::equal(batches.Next().inputs, tasks.support.inputs));
    EXPECT_TRUE(torch::equal(batches.Next().inputs, tasks.support.inputs));
  }
}

}  // namespace
}  // namespace innerloop::meta
