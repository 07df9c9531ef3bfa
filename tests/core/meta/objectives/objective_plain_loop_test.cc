// Meta-objectives against one task at a time in ordinary tensor operations, in float64.
#include <string>

#include <gtest/gtest.h>

#include "core/meta/objectives/inner_loops.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};
constexpr char kMlp[] = "mlp { hidden: [6, 5] activation: ACTIVATION_TANH }";
constexpr double kRate = 0.2;
constexpr int kSteps = 3;
constexpr int64_t kTasks = 4;

// Of one task, [n, ...]: outputs, or what the last layer takes.
Tensor PlainForward(const Tensors& parameters, Tensor x, bool features = false) {
  for (size_t i = 0; i + 2 < parameters.size(); i += 2) {
    x = (x.matmul(parameters[i]) + parameters[i + 1]).tanh();
  }
  return features ? x : x.matmul(parameters[4]) + parameters[5];
}

Tensor PlainLoss(const Tensors& parameters, const Examples& examples) {
  return (PlainForward(parameters, examples.inputs[0]) - examples.targets[0]).square().mean();
}

// Points 0 .. kSteps of one task's inner loop from theta's leaves.
std::vector<Tensors> PlainPath(const Tensors& theta, const Examples& support, bool through) {
  std::vector<Tensors> path = {theta};
  for (int step = 0; step < kSteps; ++step) {
    const Tensors before = path.back();
    const Tensors gradients =
        torch::autograd::grad({PlainLoss(before, support)}, before, {}, through, through);
    Tensors after;
    for (size_t i = 0; i < before.size(); ++i) {
      // Where not differentiated through, gradients are constants: the path is the identity.
      after.push_back(before[i] - kRate * gradients[i]);
    }
    path.push_back(after);
  }
  return path;
}

Tensor PlainDistance(const Tensors& a, const Tensors& b) {
  Tensor sum = torch::zeros({}, torch::kDouble);
  for (size_t i = 0; i < a.size(); ++i) {
    sum = sum + (a[i] - b[i]).square().sum();
  }
  return sum.sqrt();
}

// A loop's ends as a contrastive term sees them, one for each task.
struct Ends {
  std::vector<Tensors> anchors;
  std::vector<Tensors> positives;
};

Tensor PlainTriplets(const Ends& ends, double margin) {
  Tensor sum = torch::zeros({}, torch::kDouble);
  for (size_t t = 0; t < kTasks; ++t) {
    const Tensor value = margin + PlainDistance(ends.anchors[t], ends.positives[t]) -
                         PlainDistance(ends.anchors[t], ends.anchors[(t + 1) % kTasks]);
    sum = value.item<double>() > 0 ? sum + value : sum;
  }
  return sum;
}

// theta that requires gradients; the sum over tasks of what `objective` says of a task's paths from
// its first and second support sets.
struct Expected {
  double value = 0;
  Tensor gradient;
};

class ObjectivePlainLoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(29);
    tasks_ = RandomTasks(kCurves, kTasks, /*support=*/16, /*queries=*/9, torch::kDouble);
    const auto algorithm = Make("maml", "ORDER_SECOND", "");
    for (const Tensor& tensor : RandomTheta(*algorithm, torch::kDouble)) {
      theta_.push_back(tensor);
      leaves_.push_back(tensor.detach().clone().requires_grad_());
    }
  }

  static std::unique_ptr<Algorithm> Make(const std::string& method, const std::string& order,
                                         const std::string& objective) {
    const std::string steps = absl::StrCat(
        " inner_steps: ", kSteps, " inner_optimizer { sgd { learning_rate: ", kRate, " } } }");
    return MakeAlgorithm(
        kMlp, method == "reptile" ? "reptile {" + steps : "maml { order: " + order + steps, kCurves,
        objective);
  }

  // Of `value`, a scalar made of leaves_.
  Expected Differentiated(const Tensor& value) const {
    Tensors gradients = torch::autograd::grad({value}, leaves_, {}, /*retain_graph=*/false,
                                              /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < gradients.size(); ++i) {
      gradients[i] = gradients[i].defined() ? gradients[i] : torch::zeros_like(leaves_[i]);
    }
    return {.value = value.item<double>(), .gradient = Flatten(gradients)};
  }

  void Expect(const Algorithm& algorithm, const Expected& expected) const {
    TaskSums sums;
    const Tensor actual = Flatten(UpdatesOf(algorithm, theta_, tasks_, &sums));
    EXPECT_LT(RelativeError(actual, expected.gradient), 1e-11);
    EXPECT_NEAR(sums.meta_loss, expected.value, 1e-11 * (1 + std::abs(expected.value)));
  }

  // First-order MAML and Reptile with the same terms.
  void ExpectFirstOrder(const std::string& objective, const Tensor& value) const {
    const Expected expected = Differentiated(value);
    Expect(*Make("maml", "ORDER_FIRST", objective), expected);
    Expect(*Make("reptile", "", objective), expected);
  }

  TaskBatch tasks_;
  Tensors theta_;
  Tensors leaves_;
};

TEST_F(ObjectivePlainLoopTest, FirstOrderMultiStepLossSumsGradientsAtEachPoint) {
  Tensor sum = torch::zeros({}, torch::kDouble);
  // Annealed from (0.5, 0.3, 0.2) to (0, 0, 1), at iteration 11 of 44.
  const double weights[kSteps] = {0.375, 0.225, 0.4};
  for (int64_t t = 0; t < kTasks; ++t) {
    const TaskBatch task = TaskOf(tasks_, t);
    const auto path = PlainPath(leaves_, task.support, /*through=*/false);
    for (size_t step = 0; step < kSteps; ++step) {
      sum = sum + weights[step] * PlainLoss(path[step + 1], task.query);
    }
  }
  ExpectFirstOrder(
      "terms { multi_step_query_loss { step_weights: [0.5, 0.3, 0.2] anneal_iterations: 44 } }",
      sum);
}

TEST_F(ObjectivePlainLoopTest, AnnealedToTheEndTheMultiStepLossIsTheQueryLoss) {
  tasks_.key.iteration = 44;
  Tensor sum = torch::zeros({}, torch::kDouble);
  for (int64_t t = 0; t < kTasks; ++t) {
    const TaskBatch task = TaskOf(tasks_, t);
    sum = sum + PlainLoss(PlainPath(leaves_, task.support, true).back(), task.query);
  }
  Expect(*Make("maml", "ORDER_SECOND", "terms { multi_step_query_loss { anneal_iterations: 44 } }"),
         Differentiated(sum));
}

TEST_F(ObjectivePlainLoopTest, FirstOrderGradientNormHasTheQueryLosssHessian) {
  Tensor sum = torch::zeros({}, torch::kDouble);
  for (int64_t t = 0; t < kTasks; ++t) {
    const TaskBatch task = TaskOf(tasks_, t);
    const Tensors end = PlainPath(leaves_, task.support, /*through=*/false).back();
    const Tensor loss = PlainLoss(end, task.query);
    const Tensors gradients = torch::autograd::grad({loss}, end, {}, true, /*create_graph=*/true);
    sum = sum + loss + 0.3 * 0.5 * Flatten(gradients).square().sum();
  }
  ExpectFirstOrder("terms { query_loss { } } terms { weight: 0.3 gradient_norm { } }", sum);
}

TEST_F(ObjectivePlainLoopTest, ConstantParameterDistanceIsReptilesUpdate) {
  const auto reptile = Make("reptile", "", "");
  const Tensor way = Flatten(UpdatesOf(*reptile, theta_, tasks_));
  Tensor value = torch::zeros({}, torch::kDouble);
  for (int64_t t = 0; t < kTasks; ++t) {
    const auto path = PlainPath(leaves_, TaskOf(tasks_, t).support, /*through=*/false);
    value = value + 0.5 * PlainDistance(path.front(), path.back()).square();
  }
  for (const auto& [method, order] : {std::pair<const char*, const char*>{"reptile", ""},
                                      {"maml", "ORDER_FIRST"},
                                      {"maml", "ORDER_SECOND"},
                                      {"maml", "ORDER_HVP"}}) {
    Expect(*Make(method, order, "terms { parameter_distance { } }"),
           {.value = value.item<double>(), .gradient = way});
  }
}

TEST_F(ObjectivePlainLoopTest, ContrastiveTermComparesParametersOfTwoSupportSetsAndTheNextTask) {
  // A margin at which some tasks' hinges are closed.
  for (const double margin : {0.0, 0.5, 2.0}) {
    Ends ends;
    for (int64_t t = 0; t < kTasks; ++t) {
      const SupportSets sets = SplitSupport(TaskOf(tasks_, t));
      ends.anchors.push_back(PlainPath(leaves_, sets.tasks.support, true).back());
      ends.positives.push_back(PlainPath(leaves_, *sets.second, true).back());
    }
    const Tensor value = PlainTriplets(ends, margin);
    Expected expected{.value = value.item<double>(), .gradient = torch::zeros(1)};
    if (value.requires_grad()) {
      expected = Differentiated(value);
    }
    ASSERT_GT(expected.value, 0);
    Expect(*Make("maml", "ORDER_SECOND",
                 absl::StrCat("terms { contrastive { margin: ", margin, " } }")),
           expected);
  }
}

TEST_F(ObjectivePlainLoopTest, ContrastiveTermComparesPooledEmbeddings) {
  for (const bool through : {true, false}) {
    Ends ends;
    for (int64_t t = 0; t < kTasks; ++t) {
      const SupportSets sets = SplitSupport(TaskOf(tasks_, t));
      const auto pooled = [&](const Examples& support) -> Tensors {
        const Tensors end = PlainPath(leaves_, support, through).back();
        return {PlainForward(end, sets.tasks.query.inputs[0], /*features=*/true).mean(0)};
      };
      ends.anchors.push_back(pooled(sets.tasks.support));
      ends.positives.push_back(pooled(*sets.second));
    }
    const Tensor value = PlainTriplets(ends, /*margin=*/0.5);
    ASSERT_GT(value.item<double>(), 0);
    const std::string objective = "terms { contrastive { margin: 0.5 space: SPACE_EMBEDDINGS } }";
    if (through) {
      Expect(*Make("maml", "ORDER_SECOND", objective), Differentiated(value));
    } else {
      ExpectFirstOrder(objective, value);
    }
  }
}

TEST_F(ObjectivePlainLoopTest, PaddedQueriesDoNotCountInPooledEmbeddings) {
  const auto algorithm =
      Make("maml", "ORDER_SECOND", "terms { contrastive { space: SPACE_EMBEDDINGS } }");
  TaskSums whole;
  UpdatesOf(*algorithm, theta_, tasks_, &whole);
  TaskBatch padded = tasks_;
  padded.query.inputs = torch::cat({tasks_.query.inputs, torch::full({kTasks, 2, 2}, 9.0)}, 1);
  padded.query.targets = torch::cat({tasks_.query.targets, torch::zeros({kTasks, 2, 3})}, 1);
  padded.query.weights = torch::cat({torch::ones({kTasks, 9}), torch::zeros({kTasks, 2})}, 1);
  TaskSums with_padding;
  UpdatesOf(*algorithm, theta_, padded, &with_padding);
  EXPECT_NEAR(with_padding.meta_loss, whole.meta_loss, 1e-12);
}

}  // namespace
}  // namespace innerloop::meta
