// Methods against one task at a time in ordinary tensor operations and torch::optim.
#include <string>

#include <gtest/gtest.h>

#include "tests/core/meta/algorithms/libtorch_optimizers.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};
const TaskShape kClasses{.input = {7}, .outputs = 4, .classification = true};
constexpr char kMlp[] = "mlp { hidden: [6, 5] activation: ACTIVATION_TANH }";

// The layers' parameters are weight, bias, weight, bias, ...
Tensor PlainForward(const Tensors& parameters, Tensor x) {
  for (size_t i = 0; i < parameters.size(); i += 2) {
    const Tensor& weight = parameters[i];
    x = (weight.size(0) == x.size(1) ? x.matmul(weight) : x.matmul(weight.t())) + parameters[i + 1];
    x = i + 2 < parameters.size() ? x.tanh() : x;
  }
  return x;
}

// Of one task, [n, ...].
Tensor PlainLoss(const TaskShape& shape, const Tensors& parameters, const Examples& examples) {
  const Tensor outputs = PlainForward(parameters, examples.inputs[0]);
  const Tensor targets = examples.targets[0];
  return shape.classification ? -outputs.log_softmax(1).gather(1, targets.unsqueeze(1)).mean()
                              : (outputs - targets).square().mean();
}

constexpr double kRate = 0.2;
constexpr int kSteps = 3;

Tensors PlainMaml(const TaskShape& shape, const Tensors& theta, const TaskBatch& task,
                  bool second_order, double* query_loss) {
  const Tensors leaves = Leaves(theta);
  Tensors parameters = leaves;
  for (int step = 0; step < kSteps; ++step) {
    const Tensors gradients =
        torch::autograd::grad({PlainLoss(shape, parameters, task.support)}, parameters, {},
                              /*retain_graph=*/second_order, /*create_graph=*/second_order);
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i] = parameters[i] - kRate * gradients[i];
    }
  }
  const Tensor loss = PlainLoss(shape, parameters, task.query);
  *query_loss = loss.item<double>();
  // The first-order gradients were constants, so that the same call ignores them.
  return torch::autograd::grad({loss}, leaves);
}

// theta - theta' by an optimiser of LibTorch.
Tensors PlainReptile(const TaskShape& shape, const Tensors& theta, const TaskBatch& task,
                     const MakeOptimizer& make) {
  const Tensors parameters = Leaves(theta);
  const auto optimizer = make(parameters);
  for (int step = 0; step < kSteps; ++step) {
    optimizer->zero_grad();
    PlainLoss(shape, parameters, task.support).backward();
    optimizer->step();
  }
  Tensors way;
  for (size_t i = 0; i < theta.size(); ++i) {
    way.push_back(theta[i] - parameters[i].detach());
  }
  return way;
}

void Add(const Tensors& more, Tensors& sums) {
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] += more[i];
  }
}

// Rounding of a few dozen operations on values near 1.
double Tolerance(torch::ScalarType type) { return type == torch::kDouble ? 1e-12 : 2e-5; }

class PlainLoopTest : public ::testing::TestWithParam<std::tuple<torch::ScalarType, bool>> {
 protected:
  void SetUp() override { torch::manual_seed(23); }
  const torch::ScalarType type_ = std::get<0>(GetParam());
  const TaskShape& shape_ = std::get<1>(GetParam()) ? kClasses : kCurves;
};
INSTANTIATE_TEST_SUITE_P(TypesAndLosses, PlainLoopTest,
                         ::testing::Combine(::testing::Values(torch::kDouble, torch::kFloat),
                                            ::testing::Bool()));

TEST_P(PlainLoopTest, MamlOfBothOrdersEqualsATaskAtATime) {
  for (const bool second_order : {true, false}) {
    const auto algorithm =
        MakeAlgorithm(kMlp,
                      absl::StrCat("maml { order: ", second_order ? "ORDER_SECOND" : "ORDER_FIRST",
                                   " inner_steps: ", kSteps,
                                   " inner_optimizer { sgd { learning_rate: ", kRate, " } } }"),
                      shape_);
    const TaskBatch tasks = RandomTasks(shape_, /*tasks=*/5, /*support=*/8, /*queries=*/9, type_);
    const Tensors theta = RandomTheta(*algorithm, type_);
    Tensors expected = ZerosLike(theta);
    double expected_loss = 0;
    for (int64_t t = 0; t < 5; ++t) {
      double loss = 0;
      Add(PlainMaml(shape_, theta, TaskOf(tasks, t), second_order, &loss), expected);
      expected_loss += loss;
    }
    TaskSums sums;
    const Tensors updates = UpdatesOf(*algorithm, theta, tasks, &sums);
    EXPECT_LT(RelativeError(Flatten(updates), Flatten(expected)), Tolerance(type_));
    EXPECT_NEAR(sums.meta_loss, expected_loss, Tolerance(type_) * expected_loss);
  }
}

TEST_P(PlainLoopTest, ReptileGoesTheWayOfLibTorchsOptimizers) {
  for (const auto& [text, make] : Optimizers()) {
    const auto algorithm = MakeAlgorithm(
        kMlp, absl::StrCat("reptile { inner_steps: ", kSteps, " inner_optimizer { ", text, " } }"),
        shape_);
    const TaskBatch tasks = RandomTasks(shape_, /*tasks=*/5, /*support=*/8, /*queries=*/9, type_);
    const Tensors theta = RandomTheta(*algorithm, type_);
    Tensors expected = ZerosLike(theta);
    for (int64_t t = 0; t < 5; ++t) {
      Add(PlainReptile(shape_, theta, TaskOf(tasks, t), make), expected);
    }
    const Tensors updates = UpdatesOf(*algorithm, theta, tasks);
    // theta - theta' loses digits against theta.
    EXPECT_LT(RelativeError(Flatten(updates), Flatten(expected)), 20 * Tolerance(type_)) << text;
  }
}

TEST_P(PlainLoopTest, EvaluationMeasuresQueriesAfterEachInnerStep) {
  const auto algorithm = MakeAlgorithm(
      kMlp,
      absl::StrCat("maml { inner_steps: 1 inner_optimizer { sgd { learning_rate: ", kRate,
                   " } } }"),
      shape_);
  const TaskBatch tasks = RandomTasks(shape_, /*tasks=*/2, /*support=*/8, /*queries=*/9, type_);
  const Tensors theta = RandomTheta(*algorithm, type_);
  std::vector<Tensor> losses;
  std::vector<Tensor> accuracies;
  algorithm->Evaluate(theta, tasks, {.steps = kSteps},
                      [&](int64_t step, const Tensor& loss, const Tensor& accuracy) {
                        EXPECT_EQ(step, static_cast<int64_t>(losses.size()));
                        losses.push_back(loss);
                        accuracies.push_back(accuracy);
                      });
  ASSERT_EQ(losses.size(), size_t{kSteps + 1});
  for (int64_t t = 0; t < 2; ++t) {
    const TaskBatch task = TaskOf(tasks, t);
    Tensors parameters = Leaves(theta);
    for (size_t step = 0; step <= kSteps; ++step) {
      const double expected = PlainLoss(shape_, parameters, task.query).item<double>();
      EXPECT_NEAR(losses[step][t].item<double>(), expected, Tolerance(type_) * expected);
      ASSERT_EQ(accuracies[step].defined(), shape_.classification);
      if (shape_.classification) {
        const Tensor predicted = PlainForward(parameters, task.query.inputs[0]).argmax(1);
        EXPECT_NEAR(accuracies[step][t].item<double>(),
                    predicted.eq(task.query.targets[0]).to(torch::kDouble).mean().item<double>(),
                    1e-6);
      }
      const Tensors gradients =
          torch::autograd::grad({PlainLoss(shape_, parameters, task.support)}, parameters);
      for (size_t i = 0; i < parameters.size(); ++i) {
        parameters[i] = (parameters[i] - kRate * gradients[i]).detach().requires_grad_();
      }
    }
  }
}

}  // namespace
}  // namespace innerloop::meta
