// The expansions in the inner step size alpha of what MAML, first-order MAML and Reptile return on
// average (Nichol et al. 2018, section 5): with k mini-batches in a task, MAML's being k - 1 inner
// steps and the query set,
//   MAML             1 AvgGrad - 2 (k - 1) alpha AvgGradInner
//   first-order MAML 1 AvgGrad -   (k - 1) alpha AvgGradInner
//   Reptile / alpha  k AvgGrad - k (k - 1) / 2 alpha AvgGradInner
// up to alpha^2, where AvgGrad is the mean of the mini-batches' gradients g_i at theta and
// AvgGradInner that of H_i g_j over pairs of different mini-batches. A linear model with a squared
// loss makes tasks quadratic.
#include <string>

#include <gtest/gtest.h>

#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kShape{.input = {3}, .outputs = 2, .classification = false};
constexpr int64_t kExamples = 4;  // each is a mini-batch
constexpr double kAlpha = 1e-4;

class ExpectedGradientTest : public ::testing::Test {
 protected:
  ExpectedGradientTest() {
    torch::manual_seed(31);
    examples_ = RandomExamples(kShape, 1, kExamples, torch::kDouble);
    theta_ = RandomTheta(*MakeAlgorithm("linear { }", "maml { inner_steps: 1 }", kShape),
                         torch::kDouble);
    std::vector<Tensor> gradients;
    for (int64_t i = 0; i < kExamples; ++i) {
      gradients.push_back(Gradient(theta_, i));
    }
    average_gradient_ = torch::stack(gradients).mean(0);
    inner_ = torch::zeros_like(average_gradient_);
    for (int64_t i = 0; i < kExamples; ++i) {
      for (int64_t j = 0; j < kExamples; ++j) {
        if (i != j) {
          // H_i g_j; the gradient of a quadratic is affine, so that a difference is exact.
          inner_ += Gradient(Shifted(gradients[static_cast<size_t>(j)]), i) -
                    gradients[static_cast<size_t>(i)];
        }
      }
    }
    inner_ /= kExamples * (kExamples - 1);
  }

  // Of example i's loss, by the formula.
  Tensor Gradient(const Tensors& parameters, int64_t i) const {
    const Tensor& weight = parameters[0];
    const bool in_out = weight.size(0) == kShape.input[0];
    const Tensor x = examples_.inputs[0][i];
    const Tensor error =
        x.matmul(in_out ? weight : weight.t()) + parameters[1] - examples_.targets[0][i];
    const Tensor scaled = error * 2 / kShape.outputs;
    return Flatten({in_out ? x.outer(scaled) : scaled.outer(x), scaled});
  }
  Tensors Shifted(const Tensor& flat) const {
    return {theta_[0] + flat.narrow(0, 0, theta_[0].numel()).view_as(theta_[0]),
            theta_[1] + flat.narrow(0, theta_[0].numel(), theta_[1].numel())};
  }

  // Mean over all (support, query) pairs of different examples of MAML's update.
  Tensor MeanUpdateOfMaml(const std::string& order, int inner_steps) const {
    const auto algorithm =
        MakeAlgorithm("linear { }",
                      absl::StrCat("maml { order: ", order, " inner_steps: ", inner_steps,
                                   " inner_optimizer { sgd { learning_rate: ", kAlpha, " } } }"),
                      kShape);
    std::vector<int64_t> support;
    std::vector<int64_t> query;
    for (int64_t i = 0; i < kExamples; ++i) {
      for (int64_t j = 0; j < kExamples; ++j) {
        if (i != j) {
          support.push_back(i);
          query.push_back(j);
        }
      }
    }
    const auto of = [&](const std::vector<int64_t>& rows) {
      const Tensor index = torch::tensor(rows);
      return Examples{.inputs = examples_.inputs[0].index_select(0, index).unsqueeze(1),
                      .targets = examples_.targets[0].index_select(0, index).unsqueeze(1)};
    };
    const TaskBatch tasks{.support = of(support), .query = of(query)};
    return Flatten(UpdatesOf(*algorithm, theta_, tasks)) / static_cast<double>(support.size());
  }

  // The factor c of `update` = a AvgGrad + c alpha AvgGradInner, by least squares.
  double InnerFactor(const Tensor& update, double a) const {
    const Tensor rest = (update - a * average_gradient_) / kAlpha;
    return (rest.dot(inner_) / inner_.dot(inner_)).item<double>();
  }

  Examples examples_;
  Tensors theta_;
  Tensor average_gradient_;
  Tensor inner_;
};

TEST_F(ExpectedGradientTest, OfMaml) {
  for (const int k : {2, 3, 4}) {
    EXPECT_NEAR(InnerFactor(MeanUpdateOfMaml("ORDER_SECOND", k - 1), 1), -2 * (k - 1), 0.02);
    EXPECT_NEAR(InnerFactor(MeanUpdateOfMaml("ORDER_HVP", k - 1), 1), -2 * (k - 1), 0.02);
  }
}

TEST_F(ExpectedGradientTest, OfFirstOrderMaml) {
  for (const int k : {2, 3, 4}) {
    EXPECT_NEAR(InnerFactor(MeanUpdateOfMaml("ORDER_FIRST", k - 1), 1), -(k - 1), 0.02);
  }
}

TEST_F(ExpectedGradientTest, OfReptile) {
  // Many tasks with the same examples, each of which takes them in its own random order; every
  // order uses each example once, so that AvgGrad's part has no sampling noise, and AvgGradInner's
  // is averaged to about 1 %.
  constexpr int64_t kTasks = 20'000;
  const auto algorithm = MakeAlgorithm(
      "linear { }",
      absl::StrCat("reptile { inner_steps: ", kExamples,
                   " inner_batch: 1 inner_optimizer { sgd { learning_rate: ", kAlpha, " } } }"),
      kShape);
  const Examples repeated{.inputs = examples_.inputs.repeat({kTasks, 1, 1}),
                          .targets = examples_.targets.repeat({kTasks, 1, 1})};
  const TaskBatch tasks{.key = {.seed = 1}, .support = repeated, .query = repeated};
  const Tensor update = Flatten(UpdatesOf(*algorithm, theta_, tasks)) / (kAlpha * kTasks);
  EXPECT_NEAR(InnerFactor(update, kExamples), -0.5 * kExamples * (kExamples - 1), 0.15);
}

}  // namespace
}  // namespace innerloop::meta
