#include "core/meta/objectives/loss.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"

namespace innerloop::meta {
namespace {

v1::LossSpec Loss(v1::LossSpec::Kind kind, double delta = 1) {
  v1::LossSpec loss;
  loss.set_kind(kind);
  loss.set_huber_delta(delta);
  return loss;
}

Examples With(const Tensor& targets, const Tensor& weights = {}) {
  return {at::zeros({targets.size(0), targets.size(1), 1}, at::kDouble), targets, weights};
}

Tensor Doubles(std::vector<double> values, at::IntArrayRef shape) {
  return at::tensor(values, at::kDouble).view(shape);
}

TEST(LossTest, CrossEntropyIsMinusTheLogarithmOfTheSoftmax) {
  const Tensor outputs = Doubles({1, 2, 3, 0, 0, 0}, {1, 2, 3});
  const Tensor losses = TaskLosses(Loss(v1::LossSpec::KIND_CROSS_ENTROPY), outputs,
                                   With(at::tensor({2, 0}, at::kLong).view({1, 2})));
  const double first = std::log(std::exp(1) + std::exp(2) + std::exp(3)) - 3;
  EXPECT_NEAR(losses[0].item<double>(), (first + std::log(3.0)) / 2, 1e-14);
}

TEST(LossTest, CrossEntropyOfHugeOutputsIsFinite) {
  const Tensor outputs = Doubles({1e4, -1e4}, {1, 1, 2});
  EXPECT_NEAR(
      TaskLosses(Loss(v1::LossSpec::KIND_CROSS_ENTROPY), outputs, With(at::ones({1, 1}, at::kLong)))
          .item<double>(),
      2e4, 1e-9);
}

TEST(LossTest, MeanSquaredErrorIsAMeanOverExamplesAndDimensions) {
  const Tensor losses =
      TaskLosses(Loss(v1::LossSpec::KIND_MSE), Doubles({1, 2, 3, 4, 0, 0, 0, 0}, {2, 2, 2}),
                 With(at::zeros({2, 2, 2}, at::kDouble)));
  EXPECT_TRUE(at::allclose(losses, Doubles({30.0 / 4, 0}, {2})));
}

TEST(LossTest, HuberIsQuadraticUpToDeltaAndLinearBeyond) {
  const double delta = 1.5;
  for (const double error : {-4.0, -1.0, 0.0, 0.5, 1.5, 3.0}) {
    const double expected =
        std::abs(error) <= delta ? error * error / 2 : delta * (std::abs(error) - delta / 2);
    EXPECT_NEAR(TaskLosses(Loss(v1::LossSpec::KIND_HUBER, delta), Doubles({error + 2}, {1, 1, 1}),
                           With(Doubles({2}, {1, 1, 1})))
                    .item<double>(),
                expected, 1e-14)
        << error;
  }
}

TEST(LossTest, HuberHasCurvatureOneAtNoError) {
  const Tensor output = at::zeros({1, 1, 1}, at::kDouble).requires_grad_();
  const Tensor loss =
      TaskLosses(Loss(v1::LossSpec::KIND_HUBER), output, With(at::zeros({1, 1, 1}, at::kDouble)));
  const Tensor gradient = torch::autograd::grad({loss.sum()}, {output}, {}, true, true)[0];
  EXPECT_EQ(torch::autograd::grad({gradient.sum()}, {output})[0].item<double>(), 1);
}

TEST(LossTest, BinaryCrossEntropyTakesSoftTargetsAndNeverOverflows) {
  const auto loss = [](double output, double target) {
    return TaskLosses(Loss(v1::LossSpec::KIND_BINARY_CROSS_ENTROPY), Doubles({output}, {1, 1, 1}),
                      With(Doubles({target}, {1, 1, 1})))
        .item<double>();
  };
  const double p = 1 / (1 + std::exp(-0.7));
  EXPECT_NEAR(loss(0.7, 0.3), -0.3 * std::log(p) - 0.7 * std::log(1 - p), 1e-14);
  EXPECT_NEAR(loss(1000, 0), 1000, 1e-9);
  EXPECT_NEAR(loss(-1000, 1), 1000, 1e-9);
  EXPECT_NEAR(loss(1000, 1), 0, 1e-9);
}

TEST(LossTest, ClassesAreOneHotForLossesOfRealTargets) {
  const Tensor outputs = Doubles({1, 0, 0, 0.5}, {1, 2, 2});
  EXPECT_NEAR(TaskLosses(Loss(v1::LossSpec::KIND_MSE), outputs,
                         With(at::tensor({0, 1}, at::kLong).view({1, 2})))
                  .item<double>(),
              0.25 / 4, 1e-14);
}

TEST(LossTest, PaddedExamplesCountNothing) {
  const Tensor targets = at::tensor({0, 1, 0, 1}, at::kLong).view({2, 2});
  Tensor outputs = Doubles({2, 1, 5, 3, 1, 4, 0, 0}, {2, 2, 2});
  const Tensor weights = Doubles({1, 0, 3, 1}, {2, 2});
  const v1::LossSpec loss = Loss(v1::LossSpec::KIND_CROSS_ENTROPY);
  const Tensor plain = TaskLosses(loss, outputs.narrow(1, 0, 1), With(targets.narrow(1, 0, 1)));
  const Tensor second = TaskLosses(loss, outputs.narrow(1, 1, 1), With(targets.narrow(1, 1, 1)));
  outputs[0][1].fill_(INFINITY);  // what padding computes must not matter
  const Tensor losses = TaskLosses(loss, outputs, With(targets, weights));
  EXPECT_NEAR(losses[0].item<double>(), plain[0].item<double>(), 1e-14);
  EXPECT_NEAR(losses[1].item<double>(),
              (3 * plain[1].item<double>() + second[1].item<double>()) / 4, 1e-14);
  EXPECT_EQ(TaskLosses(loss, outputs, With(targets, at::zeros({2, 2})))[0].item<double>(), 0);
}

TEST(LossTest, TwoDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(1);
  const Tensor classes = at::tensor({0, 1, 2, 2}, at::kLong).view({2, 2});
  const Tensor weights = Doubles({1, 2, 0, 1}, {2, 2});
  for (const auto kind : {v1::LossSpec::KIND_CROSS_ENTROPY, v1::LossSpec::KIND_MSE,
                          v1::LossSpec::KIND_HUBER, v1::LossSpec::KIND_BINARY_CROSS_ENTROPY}) {
    const Tensor targets =
        kind == v1::LossSpec::KIND_CROSS_ENTROPY ? classes : at::rand({2, 2, 3}, at::kDouble);
    ExpectDerivatives(
        [&](const Tensors& x) {
          return Weigh(TaskLosses(Loss(kind, 0.4), x[0], With(targets, weights)));
        },
        {at::randn({2, 2, 3}, at::kDouble)}, /*orders=*/2);
  }
}

TEST(AccuracyTest, CountsExamplesWhoseLargestOutputIsTheirClass) {
  const Tensor outputs = Doubles({1, 0, 0, 1, 1, 0, 3, 4}, {2, 2, 2});
  const Tensor targets = at::tensor({0, 1, 1, 1}, at::kLong).view({2, 2});
  const v1::LossSpec loss = Loss(v1::LossSpec::KIND_CROSS_ENTROPY);
  EXPECT_TRUE(at::equal(TaskAccuracies(loss, outputs, With(targets)), Doubles({1, 0.5}, {2})));
  EXPECT_TRUE(at::equal(TaskAccuracies(loss, outputs, With(targets, Doubles({1, 1, 3, 1}, {2, 2}))),
                        Doubles({1, 0.25}, {2})));
}

TEST(AccuracyTest, OfBinaryOutputsTheLargestCountsToo) {
  // Two on the positive side, none, and one.
  const Tensor outputs = Doubles({3, 2, -1, -2, -1, 1}, {1, 3, 2});
  const Tensor targets = at::tensor({0, 0, 0}, at::kLong).view({1, 3});
  EXPECT_DOUBLE_EQ(
      TaskAccuracies(Loss(v1::LossSpec::KIND_BINARY_CROSS_ENTROPY), outputs, With(targets))
          .item<double>(),
      2.0 / 3);
}

TEST(AccuracyTest, RegressionHasNone) {
  const Tensor outputs = at::zeros({1, 2, 1}, at::kDouble);
  EXPECT_FALSE(TaskAccuracies(Loss(v1::LossSpec::KIND_MSE), outputs, With(outputs)).defined());
}

}  // namespace
}  // namespace innerloop::meta
