// Meta-gradients against finite differences of the meta-loss, and against each other, in float64.
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/core/meta/meta_gradients.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};
const TaskShape kImages{.input = {8, 8, 1}, .outputs = 3, .classification = true};
constexpr char kMlp[] = "mlp { hidden: [6, 5] activation: ACTIVATION_TANH }";
constexpr char kConv[] = "conv4 { filters: 3 }";

void ExpectEqualsFiniteDifferences(const std::string& model, const std::string& maml,
                                   const TaskShape& shape) {
  torch::manual_seed(17);
  const auto algorithm = MakeAlgorithm(model, maml, shape);
  ASSERT_NE(algorithm, nullptr);
  ExpectUpdatesAreTheDerivative(
      *algorithm, RandomTasks(shape, /*tasks=*/3, /*support=*/6, /*queries=*/6, torch::kDouble));
}

class MetaGradientTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(InnerSteps, MetaGradientTest, ::testing::Values(1, 2, 3));

TEST_P(MetaGradientTest, OfSgdIsTheDerivativeOfTheMetaLoss) {
  ExpectEqualsFiniteDifferences(
      kMlp, Maml("ORDER_SECOND", GetParam(), "sgd { learning_rate: 0.3 }"), kCurves);
}

TEST_P(MetaGradientTest, OfMomentumIsTheDerivativeOfTheMetaLoss) {
  ExpectEqualsFiniteDifferences(
      kMlp, Maml("ORDER_SECOND", GetParam(), "momentum { learning_rate: 0.2 momentum: 0.8 }"),
      kCurves);
}

TEST_P(MetaGradientTest, OfAdamIsTheDerivativeOfTheMetaLoss) {
  // A small epsilon would make the meta-loss nearly a step function of the gradients' signs.
  ExpectEqualsFiniteDifferences(
      kMlp,
      Maml("ORDER_SECOND", GetParam(),
           "adam { learning_rate: 0.1 beta1: 0.5 beta2: 0.9 epsilon: 0.05 }"),
      kCurves);
}

TEST_P(MetaGradientTest, OfConvolutionsAndBatchNormIsTheDerivativeOfTheMetaLoss) {
  ExpectEqualsFiniteDifferences(
      kConv, Maml("ORDER_SECOND", GetParam(), "sgd { learning_rate: 0.3 }"), kImages);
}

TEST_P(MetaGradientTest, ByHessianProductsEqualsTheOneThroughTheGraph) {
  for (const auto& [model, shape] : {std::pair<std::string, TaskShape>{kMlp, kCurves},
                                     std::pair<std::string, TaskShape>{kConv, kImages}}) {
    torch::manual_seed(3);
    const auto second =
        MakeAlgorithm(model, Maml("ORDER_SECOND", GetParam(), "sgd { learning_rate: 0.3 }"), shape);
    const auto products =
        MakeAlgorithm(model, Maml("ORDER_HVP", GetParam(), "sgd { learning_rate: 0.3 }"), shape);
    const TaskBatch tasks =
        RandomTasks(shape, /*tasks=*/4, /*support=*/6, /*queries=*/6, torch::kDouble);
    const Tensors theta = RandomTheta(*second, torch::kDouble);
    TaskSums second_sums;
    TaskSums products_sums;
    const Tensor expected = Flatten(UpdatesOf(*second, theta, tasks, &second_sums));
    const Tensor actual = Flatten(UpdatesOf(*products, theta, tasks, &products_sums));
    EXPECT_LT(RelativeError(actual, expected), 1e-10) << model;
    EXPECT_NEAR(products_sums.meta_loss, second_sums.meta_loss, 1e-12);
  }
}

TEST(MetaGradient, OfSeveralTasksIsTheSumOfEachAlone) {
  torch::manual_seed(4);
  for (const char* order : {"ORDER_SECOND", "ORDER_FIRST", "ORDER_HVP"}) {
    SCOPED_TRACE(order);
    const auto algorithm =
        MakeAlgorithm(kConv, Maml(order, 2, "sgd { learning_rate: 0.3 }"), kImages);
    const TaskSums sums =
        ExpectSumsOfEachAlone(*algorithm, RandomTasks(kImages, 3, 6, 6, torch::kDouble));
    EXPECT_LT(sums.support_loss_after, sums.support_loss_before);
  }
}

TEST(MetaGradient, LeavesThetaAsItIs) {
  const auto algorithm =
      MakeAlgorithm(kMlp, Maml("ORDER_SECOND", 2, "momentum { learning_rate: 0.2 }"), kCurves);
  const TaskBatch tasks = RandomTasks(kCurves, /*tasks=*/1, 6, 6, torch::kFloat);
  const Tensors theta = RandomTheta(*algorithm, torch::kFloat);
  const Tensor before = Flatten(theta).clone();
  UpdatesOf(*algorithm, theta, tasks);
  EXPECT_TRUE(torch::equal(Flatten(theta), before));
  EXPECT_FALSE(theta[0].requires_grad());
}

TEST(MetaGradient, ByHessianProductsRefusesOtherInnerOptimizersThanSgd) {
  v1::JobSpec spec = ResolvedJob(absl::StrCat("model { ", kMlp, " } tasks { sinusoid { } } ",
                                              "algorithm { maml { inner_steps: 1 inner_optimizer { "
                                              "adam { } } } } meta_batch: 4 iterations: 1"));
  spec.mutable_algorithm()->mutable_maml()->set_order(v1::Maml::ORDER_HVP);
  const absl::Status status = CreateAlgorithm(spec, kCurves).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("algorithm.maml.order"), absl::string_view::npos) << status;
}

TEST(MetaGradient, WithoutAnAlgorithmIsRefused) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_linear();
  const absl::Status status = CreateAlgorithm(spec, kCurves).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("algorithm"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace innerloop::meta
