// The inner loop's proximal term against LibTorch's optimisers on a loss that has it.
#include <string>

#include <gtest/gtest.h>

#include "tests/core/meta/algorithms/libtorch_optimizers.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};
constexpr double kStrength = 0.7;
constexpr int kSteps = 4;

// A linear model of one task.
Tensor PlainLoss(const Tensors& parameters, const Examples& examples) {
  const Tensor outputs = examples.inputs[0].matmul(parameters[0]) + parameters[1];
  return (outputs - examples.targets[0]).square().mean();
}

// The parameters after `steps` steps of an optimiser of LibTorch.
Tensors PlainLoop(const Tensors& theta, const Examples& support, const MakeOptimizer& make,
                  int64_t steps) {
  const Tensors parameters = Leaves(theta);
  const auto optimizer = make(parameters);
  const at::AutoGradMode with_gradients(true);  // also where an evaluation reports
  for (int64_t step = 0; step < steps; ++step) {
    optimizer->zero_grad();
    Tensor loss = PlainLoss(parameters, support);
    for (size_t i = 0; i < theta.size(); ++i) {
      loss = loss + 0.5 * kStrength * (parameters[i] - theta[i]).square().sum();
    }
    loss.backward();
    optimizer->step();
  }
  return parameters;
}

class ProximalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(31);
    tasks_ = RandomTasks(kCurves, /*tasks=*/3, /*support=*/8, /*queries=*/5, torch::kDouble);
  }
  static std::unique_ptr<Algorithm> Reptile(const std::string& optimizer) {
    return MakeAlgorithm("linear { }",
                         absl::StrCat("reptile { inner_steps: ", kSteps, " inner_optimizer { ",
                                      optimizer, " proximal: ", kStrength, " } }"),
                         kCurves);
  }
  TaskBatch tasks_;
};

TEST_F(ProximalTest, TrainingGoesTheWayOfLibTorchsOptimizers) {
  for (const auto& [text, make] : Optimizers()) {
    const auto algorithm = Reptile(text);
    const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
    Tensors expected = ZerosLike(theta);
    for (int64_t t = 0; t < 3; ++t) {
      const Tensors end = PlainLoop(theta, TaskOf(tasks_, t).support, make, kSteps);
      for (size_t i = 0; i < theta.size(); ++i) {
        expected[i] += theta[i] - end[i].detach();
      }
    }
    EXPECT_LT(RelativeError(Flatten(UpdatesOf(*algorithm, theta, tasks_)), Flatten(expected)),
              1e-11)
        << text;
  }
}

TEST_F(ProximalTest, EvaluationsAdaptWithIt) {
  for (const auto& [text, make] : Optimizers()) {
    const auto algorithm = Reptile(text);
    const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
    algorithm->Evaluate(theta, tasks_, {.steps = 6},
                        [&, &make = make](int64_t step, const Tensor& losses, const Tensor&) {
                          for (int64_t t = 0; t < 3; ++t) {
                            const TaskBatch task = TaskOf(tasks_, t);
                            const Tensors parameters = PlainLoop(theta, task.support, make, step);
                            EXPECT_NEAR(losses[t].item<double>(),
                                        PlainLoss(parameters, task.query).item<double>(), 1e-11);
                          }
                        });
  }
}

}  // namespace
}  // namespace innerloop::meta
