#include "core/meta/tasks/random_map.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/core/meta/tasks/generated_tasks.h"

namespace innerloop::meta {
namespace {

v1::RandomMapTasks Spec(double shared, double noise = 0) {
  v1::RandomMapTasks spec;
  spec.set_inputs(4);
  spec.set_outputs(3);
  spec.set_shots(6);
  spec.set_queries(5);
  spec.set_shared(shared);
  spec.set_noise(noise);
  return spec;
}

// x with a column of ones behind it: [..., inputs + 1].
Tensor WithOnes(const Tensor& inputs) {
  const Tensor x = inputs.to(torch::kDouble);
  return torch::cat({x, torch::ones_like(x.narrow(-1, 0, 1))}, -1);
}

// W and b below it of each task, [T, inputs + 1, outputs], by least squares on all its examples.
Tensor Maps(const TaskBatch& tasks) {
  const Tensor x = WithOnes(torch::cat({tasks.support.inputs, tasks.query.inputs}, 1));
  const Tensor y = torch::cat({tasks.support.targets, tasks.query.targets}, 1).to(torch::kDouble);
  return torch::linalg_solve(x.transpose(1, 2).matmul(x), x.transpose(1, 2).matmul(y));
}

TEST(RandomMap, SupportAndQueryFollowOneAffineMapPerTask) {
  const RandomMapSource source(Spec(0.5));
  const TaskBatch tasks = source.Sample(kKey, 10, 14, source.sizes());
  ASSERT_EQ(tasks.support.inputs.sizes(), (std::vector<int64_t>{4, 6, 4}));
  ASSERT_EQ(tasks.query.targets.sizes(), (std::vector<int64_t>{4, 5, 3}));
  // Six examples decide the map's five rows; it must hold on the queries too.
  const Tensor x = WithOnes(tasks.support.inputs);
  const Tensor y = tasks.support.targets.to(torch::kDouble);
  const Tensor map = torch::linalg_solve(x.transpose(1, 2).matmul(x), x.transpose(1, 2).matmul(y));
  const Tensor predicted = WithOnes(tasks.query.inputs).matmul(map);
  EXPECT_LT((predicted - tasks.query.targets).abs().max().item<double>(), 1e-3);
  EXPECT_GT((map[0] - map[1]).abs().max().item<double>(), 0.1) << "tasks have maps of their own";
}

TEST(RandomMap, MapsHaveTheVarianceOfWhichTheSharedPartIsCommonToAllSeedsAndSplits) {
  constexpr double kShared = 0.36;
  const RandomMapSource source(Spec(kShared));
  const TaskSizes many{.ways = 1, .shots = 20, .queries = 20};
  const Tensor maps = Maps(source.Sample(kKey, 0, 4000, many));
  const Tensor others =
      Maps(source.Sample({.seed = 9, .split = v1::SPLIT_TEST, .iteration = 0}, 0, 4000, many));
  // The mean over tasks is the common part: a standard error of 0.8 / sqrt(4000) for b.
  EXPECT_LT((maps.mean(0) - others.mean(0)).abs().max().item<double>(), 0.08);
  EXPECT_GT(maps.mean(0).abs().max().item<double>(), 0.3);
  // What is left is (1 - shared) of 1 / inputs for W, of 1 for b; chi-square of 48,000 and 12,000.
  const Tensor variance = maps.var(0);
  EXPECT_NEAR(variance.narrow(0, 0, 4).mean().item<double>(), (1 - kShared) / 4, 0.005);
  EXPECT_NEAR(variance.narrow(0, 4, 1).mean().item<double>(), 1 - kShared, 0.03);
}

TEST(RandomMap, WithEverythingSharedAllTasksAreOneMap) {
  const RandomMapSource source(Spec(1));
  const Tensor maps = Maps(source.Sample(kKey, 0, 20, source.sizes()));
  EXPECT_LT((maps - maps[0]).abs().max().item<double>(), 1e-3);
}

TEST(RandomMap, InputsAreStandardNormal) {
  const RandomMapSource source(Spec(0));
  const Tensor inputs = source.Sample(kKey, 0, 5000, source.sizes()).query.inputs;
  EXPECT_NEAR(inputs.mean().item<double>(), 0, 0.015);
  EXPECT_NEAR(inputs.var().item<double>(), 1, 0.02);
  EXPECT_NEAR((inputs.pow(4)).mean().item<double>(), 3, 0.15);
}

TEST(RandomMap, NoiseIsOnTargetsWithItsStandardDeviation) {
  // With nothing of its own, a task's targets differ from the common map by noise alone.
  const RandomMapSource noisy(Spec(1, 0.25));
  const RandomMapSource exact(Spec(1));
  const Tensor map = Maps(exact.Sample(kKey, 0, 1, {.ways = 1, .shots = 30, .queries = 30}))[0];
  const TaskBatch tasks = noisy.Sample(kKey, 0, 3000, noisy.sizes());
  const Tensor off = tasks.support.targets - WithOnes(tasks.support.inputs).matmul(map);
  EXPECT_NEAR(off.std().item<double>(), 0.25, 0.003);
  EXPECT_NEAR(off.mean().item<double>(), 0, 0.005);
}

TEST(RandomMap, TaskIsTheSameInEveryBatchAndForEveryCutOfItsExamples) {
  ExpectTasksStandAlone(RandomMapSource(Spec(0.5, 0.1)), /*shots=*/3);
}

TEST(RandomMap, SplitsIterationsAndSeedsHaveOtherTasks) {
  ExpectOtherTasksForOtherKeys(RandomMapSource(Spec(0.5)));
}

TEST(RandomMap, RefusesSizesThatMakeNoTask) { ExpectWaysAreRefused(RandomMapSource(Spec(0.5))); }

}  // namespace
}  // namespace innerloop::meta
