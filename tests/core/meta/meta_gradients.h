// Updates of algorithms against finite differences in float64, and against each other.
#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {

inline std::string Maml(const std::string& order, int steps, const std::string& optimizer) {
  return absl::StrCat("maml { order: ", order, " inner_steps: ", steps, " inner_optimizer { ",
                      optimizer, " } }");
}

// The central difference at `theta` along `direction`, which errs by h^2 times a third derivative
// and by 1e-16 / h.
inline double Slope(const std::function<double(const Tensors&)>& loss, const Tensors& theta,
                    const Tensors& direction) {
  constexpr double kStep = 1e-5;
  const auto moved = [&](double way) {
    Tensors there;
    for (size_t i = 0; i < theta.size(); ++i) {
      there.push_back(theta[i] + direction[i] * way);
    }
    return there;
  };
  return (loss(moved(kStep)) - loss(moved(-kStep))) / (2 * kStep);
}

// The tasks' updates must be the derivative of the meta-loss that is reported with them.
inline void ExpectUpdatesAreTheDerivative(const Algorithm& algorithm, const TaskBatch& tasks) {
  const Tensors theta = RandomTheta(algorithm, torch::kDouble);
  const Tensor gradient = Flatten(UpdatesOf(algorithm, theta, tasks));
  const auto loss = [&](const Tensors& at) {
    TaskSums sums;
    UpdatesOf(algorithm, at, tasks, &sums);
    return sums.meta_loss;
  };
  for (int i = 0; i < 3; ++i) {
    const Tensors direction = RandomTheta(algorithm, torch::kDouble);
    const double expected = gradient.dot(Flatten(direction)).item<double>();
    EXPECT_NEAR(Slope(loss, theta, direction), expected, 1e-6 * (1 + std::abs(expected)));
  }
}

// Computed together, the tasks give the sums of what each gives alone, which are returned.
inline TaskSums ExpectSumsOfEachAlone(const Algorithm& algorithm, const TaskBatch& tasks) {
  const Tensors theta = RandomTheta(algorithm, torch::kDouble);
  Tensors one_by_one = ZerosLike(theta);
  TaskSums alone;
  for (int64_t t = 0; t < tasks.support.inputs.size(0); ++t) {
    algorithm.AddUpdates(theta, TaskOf(tasks, t), /*detailed=*/true, one_by_one, alone);
  }
  TaskSums together;
  const Tensors updates = UpdatesOf(algorithm, theta, tasks, &together, /*detailed=*/true);
  EXPECT_LT(RelativeError(Flatten(updates), Flatten(one_by_one)), 1e-10);
  EXPECT_NEAR(together.meta_loss, alone.meta_loss, 1e-10);
  if (tasks.support.targets.scalar_type() == torch::kInt64) {
    EXPECT_NEAR(together.meta_accuracy, alone.meta_accuracy, 1e-10);
  }
  EXPECT_NEAR(together.support_loss_before, alone.support_loss_before, 1e-10);
  EXPECT_NEAR(together.support_loss_after, alone.support_loss_after, 1e-10);
  EXPECT_NEAR(together.query_loss_before, alone.query_loss_before, 1e-10);
  return together;
}

}  // namespace innerloop::meta
