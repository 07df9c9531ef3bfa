// Meta-training learns: figures far from chance after a short run, far below what the papers reach
// after a long one.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

TEST(Learning, SinusoidMamlAdaptsInOneStep) {
  const nlohmann::json result =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(),
                                                  {"--workers", "2", "--set", "iterations=10000",
                                                   "--set", "evaluation.final.episodes=2000"})));
  const nlohmann::json& steps = result.at("evaluation").at("steps");
  // Pre-training on all tasks stays above 2 however long (Finn et al. 2017, table 2); MAML reaches
  // 0.67 in 70,000 iterations.
  EXPECT_LT(steps[1].at("loss"), 1.6);
  EXPECT_LT(steps[10].at("loss"), 1.0);
  EXPECT_GT(steps[0].at("loss"), 2.0) << "without adapting, nothing can be known of a task";
}

TEST(Learning, OmniglotMamlIsFarFromChanceAfterAHundredIterations) {
  std::string why;
  const std::string omniglot = OmniglotPath(&why);
  if (omniglot.empty()) {
    GTEST_SKIP() << why;
  }
  const nlohmann::json result = Result(RunToEnd(
      "innerloop", TrainArguments("omniglot_maml_quick", NewFolder(),
                                  {"--workers", "2", "--set", "iterations=100", "--set",
                                   "evaluation.every=0", "--set", "evaluation.final.episodes=200",
                                   "--data", "omniglot=" + omniglot})));
  const nlohmann::json& steps = result.at("evaluation").at("steps");
  EXPECT_GT(steps[1].at("accuracy"), 0.6) << "chance is 0.2";
  EXPECT_LT(steps[0].at("accuracy"), 0.3) << "labels are drawn afresh for each task";
}

}  // namespace
}  // namespace innerloop::integration
