// Gradients of meta-objectives against finite differences, and against each other, in float64.
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
constexpr char kSgd[] = "sgd { learning_rate: 0.3 }";

// Margins that keep every task's hinge open.
constexpr char kContrastive[] = "terms { contrastive { margin: 20 } }";
constexpr char kEmbeddings[] = "terms { contrastive { margin: 20 space: SPACE_EMBEDDINGS } }";
constexpr char kGradientNorm[] = "terms { query_loss { } } terms { weight: 0.3 gradient_norm { } }";
constexpr char kMultiStep[] =
    "terms { multi_step_query_loss { anneal_iterations: 44 } }";  // a quarter of the way at 11
constexpr char kDistance[] =
    "terms { query_loss { } } "
    "terms { weight: 0.7 parameter_distance { through_adaptation: true } }";
constexpr char kConstantDistance[] = "terms { parameter_distance { } } terms { query_loss { } }";
constexpr char kAll[] =
    "terms { weight: 0.5 multi_step_query_loss { } } "
    "terms { weight: -0.2 parameter_distance { through_adaptation: true } } "
    "terms { weight: 0.1 contrastive { margin: 20 } } "
    "terms { weight: 0.4 contrastive { margin: 20 space: SPACE_EMBEDDINGS } } "
    "terms { weight: 0.3 gradient_norm { } }";

// Twelve support examples serve as one set or as two.
TaskBatch Tasks(const TaskShape& shape) {
  return RandomTasks(shape, /*tasks=*/3, /*support=*/12, /*queries=*/6, torch::kDouble);
}

void ExpectEqualsFiniteDifferences(const std::string& model, const std::string& maml,
                                   const std::string& objective, const TaskShape& shape) {
  SCOPED_TRACE(objective);
  torch::manual_seed(1);  // none of the units of ReLU at their kink, where inner gradients jump
  const auto algorithm = MakeAlgorithm(model, maml, shape, objective);
  ASSERT_NE(algorithm, nullptr);
  ExpectUpdatesAreTheDerivative(*algorithm, Tasks(shape));
}

class ObjectiveGradientTest : public ::testing::TestWithParam<std::tuple<int, const char*>> {
 protected:
  const int steps_ = std::get<0>(GetParam());
  const std::string objective_ = std::get<1>(GetParam());
};
INSTANTIATE_TEST_SUITE_P(StepsAndTerms, ObjectiveGradientTest,
                         ::testing::Combine(::testing::Values(1, 3),
                                            ::testing::Values(kContrastive, kEmbeddings,
                                                              kGradientNorm, kMultiStep, kDistance,
                                                              kAll)));

TEST_P(ObjectiveGradientTest, OfAPerceptronIsTheDerivativeOfTheObjective) {
  ExpectEqualsFiniteDifferences(kMlp, Maml("ORDER_SECOND", steps_, kSgd), objective_, kCurves);
}

TEST_P(ObjectiveGradientTest, OfConvolutionsIsTheDerivativeOfTheObjective) {
  ExpectEqualsFiniteDifferences(kConv, Maml("ORDER_SECOND", steps_, kSgd), objective_, kImages);
}

TEST_P(ObjectiveGradientTest, WithAProximalTermIsTheDerivativeOfTheObjective) {
  for (const std::string optimizer :
       {kSgd, "momentum { learning_rate: 0.2 momentum: 0.8 }",
        "adam { learning_rate: 0.1 beta1: 0.5 beta2: 0.9 epsilon: 0.05 }"}) {
    ExpectEqualsFiniteDifferences(
        kMlp, Maml("ORDER_SECOND", steps_, absl::StrCat(optimizer, " proximal: 0.6")), objective_,
        kCurves);
  }
}

void ExpectOrdersAgree(const std::string& model, const TaskShape& shape, int steps,
                       const std::string& optimizer, const std::string& objective) {
  torch::manual_seed(3);
  const auto second =
      MakeAlgorithm(model, Maml("ORDER_SECOND", steps, optimizer), shape, objective);
  const auto products = MakeAlgorithm(model, Maml("ORDER_HVP", steps, optimizer), shape, objective);
  const TaskBatch tasks = Tasks(shape);
  const Tensors theta = RandomTheta(*second, torch::kDouble);
  TaskSums second_sums;
  TaskSums products_sums;
  const Tensor expected = Flatten(UpdatesOf(*second, theta, tasks, &second_sums));
  const Tensor actual = Flatten(UpdatesOf(*products, theta, tasks, &products_sums));
  EXPECT_LT(RelativeError(actual, expected), 1e-10) << model << objective;
  EXPECT_NEAR(products_sums.meta_loss, second_sums.meta_loss, 1e-10);
  if (shape.classification) {
    EXPECT_NEAR(products_sums.meta_accuracy, second_sums.meta_accuracy, 1e-10);
  }
}

// Held constant, theta' makes the gradient no derivative of the value, but the orders still agree.
TEST_P(ObjectiveGradientTest, ByHessianProductsEqualsTheOneThroughTheGraph) {
  ExpectOrdersAgree(kMlp, kCurves, steps_, kSgd, objective_);
  ExpectOrdersAgree(kConv, kImages, steps_, kSgd, objective_ + kConstantDistance);
}

TEST_P(ObjectiveGradientTest, ByHessianProductsKnowsTheProximalTerm) {
  const std::string proximal = absl::StrCat(kSgd, " proximal: 0.6");
  ExpectOrdersAgree(kMlp, kCurves, steps_, proximal, objective_ + kConstantDistance);
  ExpectOrdersAgree(kMlp, kCurves, steps_, proximal, "");
}

TEST(ObjectiveGradient, IsLinearInTheWeights) {
  torch::manual_seed(5);
  const std::vector<std::string> kinds = {"query_loss { }", "multi_step_query_loss { }",
                                          "parameter_distance { }", "gradient_norm { }",
                                          "contrastive { margin: 20 space: SPACE_EMBEDDINGS }"};
  const std::vector<double> weights = {0.5, -1.5, 0.25, 2, 0.75};
  for (const char* order : {"ORDER_SECOND", "ORDER_FIRST", "ORDER_HVP"}) {
    const std::string maml = Maml(order, /*steps=*/2, kSgd);
    const TaskBatch tasks = Tasks(kCurves);
    // With a term of weight 0 that splits the support set, so that all adapt to the same.
    const std::string split = "terms { weight: 0 contrastive { space: SPACE_EMBEDDINGS } } ";
    std::string together = split;
    Tensor expected;
    double expected_value = 0;
    Tensors theta;
    for (size_t i = 0; i < kinds.size(); ++i) {
      const auto alone =
          MakeAlgorithm(kMlp, maml, kCurves, absl::StrCat(split, "terms { ", kinds[i], " }"));
      theta = theta.empty() ? RandomTheta(*alone, torch::kDouble) : theta;
      TaskSums sums;
      const Tensor part = weights[i] * Flatten(UpdatesOf(*alone, theta, tasks, &sums));
      expected = expected.defined() ? expected + part : part;
      expected_value += weights[i] * sums.meta_loss;
      absl::StrAppend(&together, "terms { weight: ", weights[i], " ", kinds[i], " } ");
    }
    const auto all = MakeAlgorithm(kMlp, maml, kCurves, together);
    TaskSums sums;
    EXPECT_LT(RelativeError(Flatten(UpdatesOf(*all, theta, tasks, &sums)), expected), 1e-12);
    EXPECT_NEAR(sums.meta_loss, expected_value, 1e-10);
  }
}

TEST(ObjectiveGradient, OfTheQueryLossAloneHasTheBitsOfAJobWithoutTerms) {
  torch::manual_seed(6);
  for (const char* order : {"ORDER_SECOND", "ORDER_FIRST", "ORDER_HVP"}) {
    const std::string maml = Maml(order, /*steps=*/2, kSgd);
    const auto without = MakeAlgorithm(kConv, maml, kImages);
    const auto with = MakeAlgorithm(kConv, maml, kImages, "terms { query_loss { } }");
    const TaskBatch tasks = RandomTasks(kImages, 3, 6, 6, torch::kFloat);
    const Tensors theta = RandomTheta(*without, torch::kFloat);
    EXPECT_TRUE(torch::equal(Flatten(UpdatesOf(*with, theta, tasks)),
                             Flatten(UpdatesOf(*without, theta, tasks))));
  }
}

TEST(ObjectiveGradient, OfEqualParametersIsFinite) {
  torch::manual_seed(7);
  // The two support sets of every task are the same, and so are all tasks.
  TaskBatch tasks = Tasks(kCurves);
  for (Tensor* values : {&tasks.support.inputs, &tasks.support.targets}) {
    *values = values->narrow(0, 0, 1).slice(1, 0, 12, 2).repeat_interleave(2, 1).repeat({3, 1, 1});
  }
  for (Tensor* values : {&tasks.query.inputs, &tasks.query.targets}) {
    *values = values->narrow(0, 0, 1).repeat({3, 1, 1});
  }
  for (const char* order : {"ORDER_SECOND", "ORDER_HVP"}) {
    for (const char* objective : {kContrastive, kEmbeddings}) {
      const auto algorithm = MakeAlgorithm(kMlp, Maml(order, 2, kSgd), kCurves, objective);
      const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
      TaskSums sums;
      const Tensor gradient = Flatten(UpdatesOf(*algorithm, theta, tasks, &sums));
      EXPECT_NEAR(sums.meta_loss, 3 * 20, 1e-12) << "the margin for each task";
      EXPECT_TRUE(torch::isfinite(gradient).all().item<bool>());
      EXPECT_EQ(gradient.abs().max().item<double>(), 0);
    }
  }
}

}  // namespace
}  // namespace innerloop::meta
