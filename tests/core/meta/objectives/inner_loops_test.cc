#include "core/meta/objectives/inner_loops.h"

#include <gtest/gtest.h>

#include "core/meta/tasks/task_source.h"
#include "tests/core/meta/test_dataset.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};

TEST(SplitSupport, GivesBothHalvesTheSameClassesAndDifferentExamples) {
  v1::JobSpec spec = ResolvedJob(
      "model { mlp { hidden: 5 } } "
      "tasks { episodes { dataset: 'small' ways: 3 shots: 2 split { counts { train: 8 } } } } "
      "algorithm { maml { inner_steps: 1 } } meta_batch: 4 iterations: 1");
  const auto source = CreateTaskSource(spec.tasks(), SmallDataset());
  ASSERT_TRUE(source.ok()) << source.status();
  const TaskSizes doubled{.ways = 3, .shots = 4, .queries = 1};
  const TaskBatch drawn = (*source)->Sample({.seed = 1}, 0, 4, doubled);
  const SupportSets sets = SplitSupport(drawn);
  const Examples& first = sets.tasks.support;
  const Examples& second = *sets.second;
  const Tensor labels = torch::arange(3).repeat_interleave(2).repeat({4, 1});
  EXPECT_TRUE(torch::equal(first.targets, labels));
  EXPECT_TRUE(torch::equal(second.targets, labels));
  EXPECT_TRUE(torch::equal(sets.tasks.query.inputs, drawn.query.inputs));
  // No image of a task is in both halves, and together they are what was drawn.
  for (int64_t t = 0; t < 4; ++t) {
    const Tensor a = first.inputs[t].flatten(1);
    const Tensor b = second.inputs[t].flatten(1);
    EXPECT_GT(torch::cdist(a, b).min().item<float>(), 0);
    EXPECT_FLOAT_EQ((a.sum() + b.sum()).item<float>(), drawn.support.inputs[t].sum().item<float>());
  }
}

TEST(SplitSupport, SharesPaddingOut) {
  TaskBatch tasks = RandomTasks(kCurves, /*tasks=*/2, /*support=*/8, 3, torch::kDouble);
  tasks.support.weights = torch::tensor({{1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 0, 0, 0}});
  const SupportSets sets = SplitSupport(tasks);
  EXPECT_TRUE(torch::equal(sets.tasks.support.weights.sum(1), torch::tensor({4, 3})));
  EXPECT_TRUE(torch::equal(sets.second->weights.sum(1), torch::tensor({4, 2})));
}

TEST(SplitSupport, GivesBothHalvesTheSameClassesWhateverTheOrder) {
  const auto row = [](std::vector<int64_t> values) {
    return torch::tensor(values, torch::kLong).unsqueeze(0);
  };
  TaskBatch tasks;
  tasks.support = {.inputs = torch::arange(8, torch::kFloat).view({1, 8, 1}),
                   .targets = row({1, 0, 1, 0, 2, 2, 0, 0}),
                   .weights = row({1, 1, 1, 1, 1, 1, 0, 0})};
  const SupportSets sets = SplitSupport(tasks);
  const Examples& first = sets.tasks.support;
  EXPECT_TRUE(torch::equal(first.targets, row({0, 1, 2, 0})));
  EXPECT_TRUE(torch::equal(sets.second->targets, row({0, 1, 2, 0})));
  EXPECT_TRUE(torch::equal(first.inputs.flatten(), torch::tensor({1.0F, 0.0F, 4.0F, 6.0F})));
  EXPECT_TRUE(torch::equal(sets.second->inputs.flatten(), torch::tensor({3.0F, 2.0F, 5.0F, 7.0F})));
  EXPECT_TRUE(torch::equal(first.weights, row({1, 1, 1, 0})));
  EXPECT_TRUE(torch::equal(sets.second->weights, row({1, 1, 1, 0})));
}

TEST(TrainingSizes, AreDoubledForAContrastiveTermOfEitherMethod) {
  const std::string contrastive = "terms { contrastive { space: SPACE_EMBEDDINGS } }";
  const TaskSizes sizes{.ways = 1, .shots = 5, .queries = 7};
  for (const auto& [method, shots] : {std::pair<std::string, int64_t>{"maml { inner_steps: 1 }", 5},
                                      {"reptile { inner_steps: 1 }", 5},
                                      {"reptile { inner_steps: 1 train_shots: 9 }", 9}}) {
    const std::string model = "mlp { hidden: 4 }";
    const auto plain = MakeAlgorithm(model, method, kCurves);
    const auto split = MakeAlgorithm(model, method, kCurves, contrastive);
    EXPECT_EQ(plain->TrainingSizes(sizes).shots, shots);
    EXPECT_EQ(split->TrainingSizes(sizes).shots, 2 * shots);
    EXPECT_EQ(split->TrainingSizes(sizes).queries, 7);
  }
}

}  // namespace
}  // namespace innerloop::meta
