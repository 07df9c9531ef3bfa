#include "core/meta/fused/maml_engine.h"

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "hwy/highway.h"
#include "tests/core/meta/fused/plain_mlp.h"
#include "tests/core/meta/fused/random_problem.h"

namespace innerloop::meta::fused {
namespace {

using ::testing::ElementsAreArray;
using Order = MamlRule::Order;

// Float32 rounds to 6e-8; sums of some hundred terms, a few layers deep, stay below this.
constexpr double kRounding = 2e-5;

void ExpectNear(const std::vector<Floats>& updates, const Values& expected) {
  const Values difference = PlainMlp::Sum(Problem::Joined(updates), -1, expected);
  EXPECT_LE(PlainMlp::Norm(difference), kRounding * PlainMlp::Norm(expected));
}

MamlRule RuleOf(Order order, size_t steps, float rate = 0.02f) {
  return {.order = order, .inner_steps = steps, .learning_rate = rate};
}

class MamlEngineTest : public ::testing::TestWithParam<std::vector<size_t>> {};

TEST_P(MamlEngineTest, UpdatesAgreeWithPlainLoopsInFloat64) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kLeakyRelu, Activation::kTanh}) {
    for (const Loss loss : {Loss::kMse, Loss::kCrossEntropy}) {
      const Problem problem(GetParam(), activation, loss, {});
      for (const size_t steps : {1, 2, 5}) {
        for (const Order order : {Order::kSecond, Order::kFirst}) {
          SCOPED_TRACE(testing::Message() << "activation " << static_cast<int>(activation)
                                          << ", loss " << static_cast<int>(loss) << ", " << steps
                                          << " steps, order " << static_cast<int>(order));
          const MamlRule rule = RuleOf(order, steps);
          ExpectNear(problem.Run(rule).updates, problem.PlainUpdate(rule));
        }
      }
    }
  }
}

std::string NameOf(const ::testing::TestParamInfo<std::vector<size_t>>& widths) {
  std::string name = "Widths";
  for (const size_t width : widths.param) {
    name += "_" + std::to_string(width);
  }
  return name;
}

// Widths that are and are not multiples of vectors and tiles, weights by input and by output, and
// up to four layers.
INSTANTIATE_TEST_SUITE_P(
    Networks, MamlEngineTest,
    ::testing::Values(std::vector<size_t>{1, 40, 40, 1}, std::vector<size_t>{3, 17, 64, 5},
                      std::vector<size_t>{2, 1, 3, 2}, std::vector<size_t>{20, 100, 9},
                      std::vector<size_t>{5, 16, 7, 33, 12}, std::vector<size_t>{17, 3},
                      std::vector<size_t>{3, 20}, std::vector<size_t>{64, 130, 21}),
    NameOf);

TEST(MamlEngineTest, AnyNumberOfExamplesGivesTheGradientOfPlainLoops) {
  for (const size_t count : {1, 2, 5, 6, 13, 200}) {
    SCOPED_TRACE(count);
    const Problem problem({2, 19, 3}, Activation::kTanh, Loss::kCrossEntropy,
                          {.tasks = 2, .support = count, .query = count + 1});
    const MamlRule rule = RuleOf(Order::kSecond, 2);
    ExpectNear(problem.Run(rule).updates, problem.PlainUpdate(rule));
  }
}

TEST(MamlEngineTest, ExamplesCountByTheirWeightsAndPaddingNot) {
  for (const Loss loss : {Loss::kMse, Loss::kCrossEntropy}) {
    const Problem problem({3, 24, 4}, Activation::kTanh, loss, {}, /*weighted=*/true);
    const MamlRule rule = RuleOf(Order::kSecond, 3);
    ExpectNear(problem.Run(rule).updates, problem.PlainUpdate(rule));
  }
}

TEST(MamlEngineTest, MeasuresAreThoseOfThePlainLoops) {
  const Problem problem({3, 24, 4}, Activation::kRelu, Loss::kCrossEntropy, {.tasks = 5});
  const MamlRule rule = RuleOf(Order::kSecond, 3);
  MamlMeasures expected;
  for (size_t t = 0; t < problem.task_count(); ++t) {
    const std::vector<Values> path = problem.plain.Adapt(problem.plain_theta(), problem.support(t),
                                                         rule.inner_steps, rule.learning_rate);
    const PlainLoss after = problem.plain.LossAt(path.back(), problem.query(t));
    expected.meta_loss += after.value;
    expected.meta_accuracy += after.accuracy;
    expected.query_loss_before += problem.plain.LossAt(path[0], problem.query(t)).value;
    expected.support_loss_before += problem.plain.LossAt(path[0], problem.support(t)).value;
    expected.support_loss_after += problem.plain.LossAt(path.back(), problem.support(t)).value;
  }
  for (const Order order : {Order::kSecond, Order::kSecondRecomputed, Order::kFirst}) {
    const MamlMeasures measures = problem.Run(RuleOf(order, 3), /*detailed=*/true).measures;
    EXPECT_NEAR(measures.meta_loss, expected.meta_loss, 1e-5);
    EXPECT_NEAR(measures.meta_accuracy, expected.meta_accuracy, 1e-6);
    EXPECT_NEAR(measures.query_loss_before, expected.query_loss_before, 1e-5);
    EXPECT_NEAR(measures.support_loss_before, expected.support_loss_before, 1e-5);
    EXPECT_NEAR(measures.support_loss_after, expected.support_loss_after, 1e-5);
  }
}

TEST(MamlEngineTest, EvaluationMeasuresEachStepOfThePlainInnerLoop) {
  const Problem problem({3, 24, 4}, Activation::kTanh, Loss::kCrossEntropy, {.tasks = 4});
  const MamlRule rule = RuleOf(Order::kSecond, 6);
  const size_t steps = rule.inner_steps;
  Values losses((steps + 1) * problem.task_count());
  Values accuracies(losses.size());
  ConstParameterArrays theta;
  for (const Floats& tensor : problem.theta) {
    theta.push_back(tensor.data());
  }
  EvaluateMaml(problem.shape, rule, theta, problem.tasks(), losses.data(), accuracies.data());
  for (size_t t = 0; t < problem.task_count(); ++t) {
    const std::vector<Values> path =
        problem.plain.Adapt(problem.plain_theta(), problem.support(t), steps, rule.learning_rate);
    for (size_t k = 0; k <= steps; ++k) {
      const PlainLoss expected = problem.plain.LossAt(path[k], problem.query(t));
      EXPECT_NEAR(losses[k * problem.task_count() + t], expected.value, 1e-5);
      EXPECT_NEAR(accuracies[k * problem.task_count() + t], expected.accuracy, 1e-6);
    }
  }
}

TEST(MamlEngineTest, RecomputedStepsGiveTheBitsOfKeptOnes) {
  const Problem problem({3, 40, 40, 5}, Activation::kTanh, Loss::kCrossEntropy, {});
  EXPECT_THAT(problem.Run(RuleOf(Order::kSecondRecomputed, 5)).updates,
              ElementsAreArray(problem.Run(RuleOf(Order::kSecond, 5)).updates));
}

TEST(MamlEngineTest, RepeatsAndThreadsGiveTheSameBitsWhateverRanBefore) {
  const Problem problem({3, 40, 40, 5}, Activation::kRelu, Loss::kMse, {});
  const Problem other({7, 100, 2}, Activation::kTanh, Loss::kCrossEntropy, {.support = 50});
  const MamlRule rule = RuleOf(Order::kSecond, 3);
  const std::vector<Floats> expected = problem.Run(rule).updates;
  const auto repeat = [&] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_THAT(problem.Run(rule).updates, ElementsAreArray(expected));
      other.Run(rule);
    }
  };
  std::thread first(repeat);
  std::thread second(repeat);
  first.join();
  second.join();
}

TEST(MamlEngineTest, DivergedParametersShowInTheLossAndTheUpdate) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kLeakyRelu, Activation::kTanh}) {
    for (const Loss loss : {Loss::kMse, Loss::kCrossEntropy}) {
      Problem problem({3, 24, 4}, activation, loss, {});
      problem.theta[0][5] = std::nanf("");
      const Problem::Result result = problem.Run(RuleOf(Order::kSecond, 1));
      EXPECT_TRUE(std::isnan(result.measures.meta_loss));
      EXPECT_TRUE(std::isnan(PlainMlp::Norm(Problem::Joined(result.updates))));
    }
  }
}

TEST(MamlEngineTest, ANaNInAnOutputThatIsNoExamplesClassShowsToo) {
  Problem problem({3, 24, 40}, Activation::kRelu, Loss::kCrossEntropy, {});
  const std::vector<Floats> theta = problem.theta;
  for (size_t output = 0; output < 40; ++output) {
    problem.theta = theta;
    problem.theta.back()[output] = std::nanf("");
    const MamlMeasures measures = problem.Run(RuleOf(Order::kFirst, 1)).measures;
    EXPECT_TRUE(std::isnan(measures.meta_loss)) << output;
  }
}

TEST(MamlEngineTest, EachInstructionSetOfThisProcessorGivesTheGradientOfPlainLoops) {
  const Problem problem({3, 40, 72, 5}, Activation::kTanh, Loss::kCrossEntropy, {});
  const MamlRule rule = RuleOf(Order::kSecond, 2);
  const Values expected = problem.PlainUpdate(rule);
  problem.Run(rule);
  for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    const int64_t target = left & -left;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::GetChosenTarget().Update(target);
    ExpectNear(problem.Run(rule).updates, expected);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace
}  // namespace innerloop::meta::fused
