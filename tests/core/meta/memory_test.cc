// What jobs' tensors take, and what was said before about it.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "core/job/job_spec.h"
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
  int64_t most = 0;
  const auto compute = [&](int64_t tasks) {
    most = std::max(most, tasks);
    torch::empty({kMiB + 100 * kMiB * tasks}, torch::kByte);  // never touched
  };
  EXPECT_EQ(EstimatePeak(1, compute), 101 * kMiB);
  EXPECT_EQ(EstimatePeak(3, compute), 301 * kMiB);
  EXPECT_EQ(EstimatePeak(7, compute), 701 * kMiB);
  EXPECT_EQ(most, 3);
}

TEST(MemoryEstimate, TriesWhatIsSmallAndKnowsScratchMemory) {
  const auto compute = [](int64_t tasks) {
    { const Tensor scratch = torch::empty({5 * kMiB}, torch::kByte); }
    torch::empty({tasks * kMiB}, torch::kByte);
  };
  EXPECT_EQ(EstimatePeak(4, compute), 5 * kMiB);
  EXPECT_EQ(EstimatePeak(7, compute), 7 * kMiB);
}

int64_t PeakOfChunk(const std::string& maml, int64_t shots) {
  const TaskShape shape{.input = {28, 28, 1}, .outputs = 5, .classification = true};
  const auto algorithm = MakeAlgorithm("conv4 { filters: 64 }", "maml { " + maml + " }", shape);
  const Tensors theta = RandomTheta(*algorithm, torch::kFloat);
  const MemoryMeter meter;
  UpdatesOf(*algorithm, theta,
            RandomTasks(shape, /*tasks=*/4, /*support=*/5 * shots, /*queries=*/5, torch::kFloat));
  return meter.peak();
}

TEST(Memory, HessianProductsTakeAtMostHalfOfTheGraphsOfFiveSteps) {
  const auto products = [](int64_t steps, int64_t shots) {
    return PeakOfChunk(absl::StrCat("order: ORDER_HVP inner_steps: ", steps), shots);
  };
  const auto graph = [](int64_t shots) {
    return PeakOfChunk("order: ORDER_SECOND inner_steps: 5", shots);
  };
  EXPECT_LE(2 * products(5, 1), graph(1));
  EXPECT_LE(3 * products(5, 5), graph(5));
  // Each further step keeps its parameters alone.
  const int64_t five = products(5, 5);
  const int64_t seven = products(7, 5);
  const int64_t parameters = 4 * (9 * 64 + 3 * 9 * 64 * 64 + 8 * 64 + 5 * 65) * int64_t{4};
  EXPECT_NEAR(static_cast<double>(seven - five), static_cast<double>(2 * parameters),
              0.02 * static_cast<double>(five));
}

struct Case {
  std::string model;
  std::string tasks;
  std::string algorithm;
  std::string more;
  int64_t chunk = 8;
};

v1::JobSpec SpecOf(const Case& job) {
  return ResolvedJob(absl::StrCat("model { ", job.model, " } tasks { ", job.tasks,
                                  " } algorithm { ", job.algorithm, " } meta_batch: ", job.chunk,
                                  " tasks_per_shard: ", job.chunk, " tasks_per_chunk: ", job.chunk,
                                  " iterations: 1 ", job.more));
}

// Makes the spec's program, runs `work` with it and its parameters, and compares what was measured
// with what was estimated before.
template <typename Work>
void ExpectGoodEstimate(const v1::JobSpec& spec, const Work& work) {
  const auto program =
      Program::Create(spec, spec.tasks().has_episodes() ? SmallDataset(/*size=*/16) : nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_EQ((*program)->MeasuredPeakBytes(), 0);
  const auto estimate = (*program)->EstimatePeakBytes();
  ASSERT_TRUE(estimate.ok()) << estimate.status();
  EXPECT_EQ((*program)->MeasuredPeakBytes(), 0);
  work(**program, *(*program)->Initialise());
  const auto measured = static_cast<double>((*program)->MeasuredPeakBytes());
  EXPECT_GT(measured, 1000);
  EXPECT_NEAR(static_cast<double>(*estimate), measured, 0.1 * measured);
}

const std::string kEpisodes =
    "episodes { dataset: 'small' ways: 3 shots: 1 queries: 2 split { counts { train: 6 test: 6 } } "
    "}";
const std::string kConv4 = "conv4 { filters: 16 }";
const std::string kMlp = "mlp { hidden: [40, 40] }";

TEST(MemoryEstimate, OfTrainingIsWithinATenthOfWhatIsMeasured) {
  for (const Case& job : {
           Case{kConv4, kEpisodes, "maml { order: ORDER_SECOND inner_steps: 5 }", ""},
           Case{kConv4, kEpisodes, "maml { order: ORDER_HVP inner_steps: 5 }", ""},
           Case{kConv4, kEpisodes, "maml { order: ORDER_FIRST inner_steps: 5 }", ""},
           Case{kConv4, kEpisodes, "maml { inner_steps: 2 }",
                "objective { terms { contrastive { } } }"},
           Case{kConv4, kEpisodes, "reptile { inner_steps: 5 }", ""},
           Case{kConv4, kEpisodes, "lstm_meta_learner { inner_steps: 3 }", ""},
           Case{kMlp, "sinusoid { }", "maml { inner_steps: 2 }", ""},
           Case{kMlp, "sinusoid { }", "reptile { inner_steps: 5 inner_optimizer { adam { } } }",
                ""},
       }) {
    SCOPED_TRACE(job.model + " " + job.algorithm + " " + job.more);
    ExpectGoodEstimate(SpecOf(job), [](const Program& program, const FlatBuffer& parameters) {
      v1::Shard shard;
      shard.set_last_task(8);
      shard.set_detailed(true);
      EXPECT_TRUE(program.RunShard(parameters, shard).ok());
    });
  }
}

TEST(MemoryEstimate, OfAnEvaluationIsWithinATenthOfWhatIsMeasured) {
  const std::string first_order = "maml { order: ORDER_FIRST inner_steps: 1 }";
  const std::string all = "transduction: TRANSDUCTION_ALL_QUERIES ";
  const std::string support = "transduction: TRANSDUCTION_SUPPORT_STATISTICS ";
  const std::string single = "transduction: TRANSDUCTION_SINGLE_QUERY ";
  for (const Case& job : {
           Case{kConv4, kEpisodes, first_order, "inner_steps: 4 queries: 5 " + all},
           Case{kConv4, kEpisodes, first_order, "inner_steps: 4 queries: 5 " + support},
           Case{kConv4, kEpisodes, first_order, "inner_steps: 4 queries: 5 " + single},
           Case{kConv4, kEpisodes, first_order, "inner_steps: 0 queries: 5 " + single},
           Case{kConv4, kEpisodes, first_order, "inner_steps: 4 line_search: 3 " + all},
           Case{kConv4, kEpisodes, "reptile { inner_steps: 5 }", "inner_steps: 3"},
           Case{kConv4, kEpisodes, "lstm_meta_learner { inner_steps: 3 }", "inner_steps: 3"},
           Case{kConv4, kEpisodes, "prototypical_networks { }", "inner_steps: 0 queries: 5"},
           // Steps of this length rise: the search halves them.
           Case{kMlp, "sinusoid { }",
                "maml { inner_steps: 1 inner_optimizer { sgd { learning_rate: 5 } } }",
                "inner_steps: 5 queries: 50 line_search: 6"},
           // Parts of an evaluation have 25 episodes at most, fewer than chunks of this job.
           Case{kMlp, "sinusoid { }", "reptile { inner_steps: 5 inner_optimizer { adam { } } }",
                "inner_steps: 3",
                /*chunk=*/64},
       }) {
    SCOPED_TRACE(job.model + " " + job.algorithm + " " + job.more);
    Case with = job;
    with.more = "evaluation { final { " + job.more + " } }";
    v1::JobSpec spec = SpecOf(with);
    const v1::EvaluationProtocol protocol = spec.evaluation().final();
    spec.set_iterations(0);
    ExpectGoodEstimate(spec, [&](const Program& program, const FlatBuffer& parameters) {
      v1::EvaluationShard evaluation;
      *evaluation.mutable_protocol() = protocol;
      evaluation.set_last_episode(Part(protocol.episodes(), kEpisodesPerPart, 0).last);
      EXPECT_TRUE(program.RunEvaluation(parameters, evaluation).ok());
    });
  }
}

}  // namespace
}  // namespace innerloop::meta
