// What jobs' tensors take, and what was said before about it.
#include <string>

#include <gtest/gtest.h>

#include "core/meta/memory_estimate.h"
#include "core/meta/memory_meter.h"
#include "core/meta/program.h"
#include "tests/core/meta/test_dataset.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kMiB = 1 << 20;

TEST(MemoryMeter, TellsTheMostHeldAtOneTime) {
  const MemoryMeter meter;
  Tensor kept = torch::empty({kMiB}, torch::kByte);
  { const Tensor brief = torch::empty({3 * kMiB}, torch::kByte); }
  const Tensor later = torch::empty({kMiB}, torch::kByte);
  EXPECT_EQ(meter.peak(), 4 * kMiB);
}

TEST(MemoryMeter, CountsOnlyWhileItLives) {
  int64_t peak = 0;
  {
    const MemoryMeter meter;
    const Tensor inside = torch::empty({kMiB}, torch::kByte);
    peak = meter.peak();
  }
  const Tensor outside = torch::empty({kMiB}, torch::kByte);
  const MemoryMeter meter;
  EXPECT_EQ(meter.peak(), 0);
  EXPECT_EQ(peak, kMiB);
}

TEST(MemoryEstimate, AddsWhatEachFurtherTaskTakes) {
  const auto compute = [](int64_t tasks) { torch::empty({kMiB + 100 * tasks}, torch::kByte); };
  EXPECT_EQ(EstimatePeak(1, compute), kMiB + 100);
  EXPECT_EQ(EstimatePeak(7, compute), kMiB + 700);
}

int64_t PeakOfChunk(const std::string& maml) {
  const TaskShape shape{.input = {28, 28, 1}, .outputs = 5, .classification = true};
  const auto algorithm = MakeAlgorithm("conv4 { filters: 64 }", "maml { " + maml + " }", shape);
  const Tensors theta = RandomTheta(*algorithm, torch::kFloat);
  const MemoryMeter meter;
  UpdatesOf(*algorithm, theta,
            RandomTasks(shape, /*tasks=*/4, /*support=*/25, /*queries=*/5, torch::kFloat));
  return meter.peak();
}

TEST(Memory, HessianProductsTakeAtMostHalfOfTheGraphsOfFiveSteps) {
  const int64_t products = PeakOfChunk("order: ORDER_HVP inner_steps: 5");
  EXPECT_LE(2 * products, PeakOfChunk("order: ORDER_SECOND inner_steps: 5"));
  // Each further step keeps its parameters alone.
  const int64_t more = PeakOfChunk("order: ORDER_HVP inner_steps: 7");
  const int64_t parameters = 4 * (9 * 64 + 3 * 9 * 64 * 64 + 8 * 64 + 5 * 65) * int64_t{4};
  EXPECT_NEAR(static_cast<double>(more - products), static_cast<double>(2 * parameters),
              0.02 * static_cast<double>(products));
}

struct Case {
  std::string model;
  std::string tasks;
  std::string algorithm;
  std::string more;
};

void ExpectGoodEstimate(const Case& job) {
  SCOPED_TRACE(job.model + " " + job.algorithm + " " + job.more);
  const v1::JobSpec spec = ResolvedJob(absl::StrCat(
      "model { ", job.model, " } tasks { ", job.tasks, " } algorithm { ", job.algorithm,
      " } meta_batch: 8 tasks_per_shard: 8 tasks_per_chunk: 8 ", "iterations: 1 ", job.more));
  const auto program =
      Program::Create(spec, spec.tasks().has_episodes() ? SmallDataset(/*size=*/16) : nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_EQ((*program)->MeasuredPeakBytes(), 0);
  const auto estimate = (*program)->EstimatePeakBytes();
  ASSERT_TRUE(estimate.ok()) << estimate.status();
  EXPECT_EQ((*program)->MeasuredPeakBytes(), 0);

  const FlatBuffer parameters = *(*program)->Initialise();
  v1::Shard shard;
  shard.set_last_task(8);
  shard.set_detailed(true);
  ASSERT_TRUE((*program)->RunShard(parameters, shard).ok());
  if (!spec.evaluation().skip_final()) {
    v1::EvaluationShard evaluation;
    *evaluation.mutable_protocol() = spec.evaluation().final();
    evaluation.set_last_episode(8);
    ASSERT_TRUE((*program)->RunEvaluation(parameters, evaluation).ok());
  }
  const auto measured = static_cast<double>((*program)->MeasuredPeakBytes());
  EXPECT_GT(measured, 1000);
  EXPECT_NEAR(static_cast<double>(*estimate), measured, 0.3 * measured);
}

TEST(MemoryEstimate, IsWithinThreeTenthsOfWhatIsMeasured) {
  const std::string episodes =
      "episodes { dataset: 'small' ways: 3 shots: 1 queries: 2 split { counts { train: 6 test: 6 } "
      "} }";
  const std::string conv4 = "conv4 { filters: 16 }";
  const std::string mlp = "mlp { hidden: [40, 40] }";
  const std::string skip = "evaluation { skip_final: true }";
  const std::string few = "evaluation { final { inner_steps: 3 } }";
  for (const Case& job : {
           Case{conv4, episodes, "maml { order: ORDER_SECOND inner_steps: 5 }", skip},
           Case{conv4, episodes, "maml { order: ORDER_HVP inner_steps: 5 }", skip},
           Case{conv4, episodes, "maml { order: ORDER_FIRST inner_steps: 5 }", few},
           Case{conv4, episodes, "maml { order: ORDER_FIRST inner_steps: 1 }",
                "evaluation { final { inner_steps: 4 queries: 5 transduction: "
                "TRANSDUCTION_SINGLE_QUERY } }"},
           Case{conv4, episodes, "reptile { inner_steps: 5 }", few},
           Case{conv4, episodes, "lstm_meta_learner { inner_steps: 3 }", few},
           Case{mlp, "sinusoid { }", "maml { inner_steps: 2 }", skip},
           Case{mlp, "sinusoid { }", "reptile { inner_steps: 5 inner_optimizer { adam { } } }",
                few},
       }) {
    ExpectGoodEstimate(job);
  }
}

}  // namespace
}  // namespace innerloop::meta
