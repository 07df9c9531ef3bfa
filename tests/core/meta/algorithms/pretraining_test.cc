#include "core/meta/algorithms/pretraining.h"

#include <gtest/gtest.h>

#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kLine{.input = {3}, .outputs = 2, .classification = false};

std::unique_ptr<Algorithm> Linear() {
  return MakeAlgorithm("linear {}",
                       "pretraining { inner_optimizer { sgd { learning_rate: 0.1 } } }", kLine);
}

// The gradient of the mean of (x W + b - y)^2 by W, by hand.
TEST(Pretraining, UpdateIsTheGradientOfOneModelsLossOnAllOfATasksExamples) {
  torch::manual_seed(4);
  const auto algorithm = Linear();
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  const TaskBatch tasks =
      RandomTasks(kLine, /*tasks=*/5, /*support=*/4, /*queries=*/7, torch::kDouble);
  Tensor weight = torch::zeros({3, 2}, torch::kDouble);
  Tensor bias = torch::zeros({2}, torch::kDouble);
  double loss = 0;
  for (int64_t t = 0; t < 5; ++t) {
    const Tensor x = torch::cat({tasks.support.inputs[t], tasks.query.inputs[t]});
    const Tensor y = torch::cat({tasks.support.targets[t], tasks.query.targets[t]});
    const Tensor error = torch::matmul(x, theta[0]) + theta[1] - y;
    loss += error.square().mean().item<double>();
    weight += torch::matmul(x.t(), error) * 2 / 22;
    bias += error.sum(0) * 2 / 22;
  }
  TaskSums sums;
  const Tensors updates = UpdatesOf(*algorithm, theta, tasks, &sums, /*detailed=*/true);
  EXPECT_LT(RelativeError(updates[0], weight), 1e-12);
  EXPECT_LT(RelativeError(updates[1], bias), 1e-12);
  EXPECT_NEAR(sums.meta_loss, loss, 1e-12);
  EXPECT_NEAR(sums.query_loss_before, loss, 1e-12);
  EXPECT_EQ(sums.support_loss_before, sums.support_loss_after);
}

TEST(Pretraining, EvaluationFineTunesOnTheSupportSet) {
  torch::manual_seed(5);
  const auto algorithm = Linear();
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  const TaskBatch tasks = RandomTasks(kLine, 2, 4, 7, torch::kDouble);
  Tensors measured;
  algorithm->Evaluate(
      theta, tasks, {.steps = 3},
      [&](int64_t, const Tensor& losses, const Tensor&) { measured.push_back(losses); });
  ASSERT_EQ(measured.size(), 4U);
  for (int64_t t = 0; t < 2; ++t) {
    Tensor weight = theta[0];
    Tensor bias = theta[1];
    for (size_t step = 0; step < 4; ++step) {
      const auto error = [&](const Examples& examples) {
        return torch::matmul(examples.inputs[t], weight) + bias - examples.targets[t];
      };
      EXPECT_NEAR(measured[step][t].item<double>(),
                  error(tasks.query).square().mean().item<double>(), 1e-12);
      const Tensor residual = error(tasks.support);
      weight = weight - 0.1 * torch::matmul(tasks.support.inputs[t].t(), residual) * 2 / 8;
      bias = bias - 0.1 * residual.sum(0) * 2 / 8;
    }
  }
}

}  // namespace
}  // namespace innerloop::meta
