#include "core/meta/tasks/sinusoid.h"

#include <cmath>

#include <gtest/gtest.h>

#include "core/support/random.h"
#include "tests/core/meta/tasks/generated_tasks.h"

namespace innerloop::meta {
namespace {

v1::SinusoidTasks Spec() {
  v1::SinusoidTasks spec;
  spec.set_shots(7);
  spec.set_queries(5);
  spec.mutable_amplitude()->set_low(0.1);
  spec.mutable_amplitude()->set_high(5);
  spec.mutable_phase()->set_low(0);
  spec.mutable_phase()->set_high(3);
  spec.mutable_input()->set_low(-5);
  spec.mutable_input()->set_high(5);
  return spec;
}

TEST(Sinusoid, TargetsFollowTheTasksCurve) {
  const SinusoidSource source(Spec());
  const TaskBatch tasks = source.Sample(kKey, 10, 14, source.sizes());
  ASSERT_EQ(tasks.support.inputs.sizes(), (std::vector<int64_t>{4, 7, 1}));
  ASSERT_EQ(tasks.query.targets.sizes(), (std::vector<int64_t>{4, 5, 1}));
  for (int64_t t = 0; t < 4; ++t) {
    // The documented order of the stream.
    CounterRandom random(3, RandomPurpose::kTask, v1::SPLIT_TRAIN, 8,
                         static_cast<uint32_t>(10 + t));
    const double amplitude = random.Uniform(0.1, 5);
    const double phase = random.Uniform(0, 3);
    for (int64_t i = 0; i < 12; ++i) {
      const Examples& examples = i < 7 ? tasks.support : tasks.query;
      const int64_t row = i < 7 ? i : i - 7;
      const double x = -5 + 10 * random.UniformFloat();
      EXPECT_NEAR(examples.inputs[t][row][0].item<double>(), x, 1e-6);
      EXPECT_NEAR(examples.targets[t][row][0].item<double>(), amplitude * std::sin(x - phase),
                  1e-5);
    }
  }
}

TEST(Sinusoid, TaskIsTheSameInEveryBatchAndForEveryCutOfItsExamples) {
  ExpectTasksStandAlone(SinusoidSource(Spec()), /*shots=*/4);
}

TEST(Sinusoid, SplitsIterationsAndSeedsHaveOtherTasks) {
  ExpectOtherTasksForOtherKeys(SinusoidSource(Spec()));
}

TEST(Sinusoid, FillsTheRangesThatTheJobGives) {
  const SinusoidSource source(Spec());
  const TaskBatch tasks = source.Sample(kKey, 0, 2000, source.sizes());
  EXPECT_GE(tasks.support.inputs.min().item<double>(), -5);
  EXPECT_LE(tasks.support.inputs.max().item<double>(), 5);
  EXPECT_LT(tasks.support.inputs.min().item<double>(), -4.99);
  EXPECT_GT(tasks.support.inputs.max().item<double>(), 4.99);
  EXPECT_NEAR(tasks.support.inputs.mean().item<double>(), 0, 0.1);
  EXPECT_LE(tasks.support.targets.abs().max().item<double>(), 5);
  EXPECT_GT(tasks.support.targets.abs().max().item<double>(), 4.9);
}

TEST(Sinusoid, RefusesSizesThatMakeNoTask) { ExpectWaysAreRefused(SinusoidSource(Spec())); }

}  // namespace
}  // namespace innerloop::meta
