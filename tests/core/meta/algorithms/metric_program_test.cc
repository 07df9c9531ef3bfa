// Metric methods as jobs on a data set.
#include <cmath>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "core/meta/program.h"
#include "tests/core/meta/test_dataset.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

v1::JobSpec Job(const std::string& algorithm) {
  return ResolvedJob(
      absl::StrCat("model { conv4 { filters: 4 head: HEAD_FLATTEN } } "
                   "tasks { episodes { dataset: 'small' ways: 4 shots: 1 queries: 2 "
                   "  split { counts { train: 6 validation: 3 test: 3 } } } } "
                   "algorithm { ",
                   algorithm,
                   " } meta_batch: 6 tasks_per_shard: 6 tasks_per_chunk: 2 iterations: 100 "
                   "evaluation { final { ways: 3 } periodic { ways: 2 } }"));
}

class MetricProgramTest : public ::testing::TestWithParam<const char*> {
 protected:
  MetricProgramTest() {
    PrepareComputeThread();
    auto created = Program::Create(spec_, SmallDataset(8));
    EXPECT_TRUE(created.ok()) << created.status();
    program_ = *std::move(created);
    parameters_ = *program_->Initialise();
  }
  ShardOutput Run(uint64_t first, uint64_t last, bool detailed = false) const {
    v1::Shard shard;
    shard.set_iteration(3);
    shard.set_first_task(first);
    shard.set_last_task(last);
    shard.set_detailed(detailed);
    auto output = program_->RunShard(parameters_, shard);
    EXPECT_TRUE(output.ok()) << output.status();
    return *std::move(output);
  }
  const v1::JobSpec spec_ = Job(GetParam());
  std::unique_ptr<Program> program_;
  FlatBuffer parameters_;
};
INSTANTIATE_TEST_SUITE_P(Methods, MetricProgramTest,
                         ::testing::Values("prototypical_networks { }",
                                           "prototypical_networks { distance: DISTANCE_COSINE }",
                                           "matching_networks { separate_query_encoder: true }",
                                           "matching_networks { full_context { read_steps: 2 } }"));

TEST_P(MetricProgramTest, AShardIsTheSumOfItsChunksInOrder) {
  const ShardOutput whole = Run(0, 6);
  EXPECT_TRUE(AllFinite(whole.update.values()));
  FlatBuffer sum(parameters_.size());
  for (const uint64_t first : {0, 2, 4}) {
    const ShardOutput part = Run(first, first + 2);
    for (int64_t i = 0; i < sum.size(); ++i) {
      sum.data()[i] += part.update.data()[i];
    }
  }
  EXPECT_EQ(whole.update.bytes(), sum.bytes());
}

TEST_P(MetricProgramTest, HasNoMeasuresOfAdaptation) {
  const ShardOutput detailed = Run(0, 6, /*detailed=*/true);
  EXPECT_TRUE(detailed.metrics.has_meta_accuracy());
  EXPECT_FALSE(detailed.metrics.has_support_loss_before());
  EXPECT_EQ(detailed.update.bytes(), Run(0, 6).update.bytes());
}

TEST_P(MetricProgramTest, EvaluationsHaveWaysOfTheirOwn) {
  v1::EvaluationShard shard;
  *shard.mutable_protocol() = spec_.evaluation().final();
  shard.set_last_episode(5);
  const auto sums = program_->RunEvaluation(parameters_, shard);
  ASSERT_TRUE(sums.ok()) << sums.status();
  EXPECT_EQ(sums->loss_size(), 1);
  EXPECT_EQ(sums->accuracy_size(), 1);
  EXPECT_GT(sums->loss(0), 0);
  shard.mutable_protocol()->set_ways(4);
  const auto refused = program_->RunEvaluation(parameters_, shard);
  EXPECT_NE(refused.status().message().find("episodes.ways is 4"), absl::string_view::npos)
      << refused.status();
}

TEST_P(MetricProgramTest, DescendingAlongTheUpdatesLowersTheMetaLoss) {
  const double before = Run(0, 6).metrics.meta_loss();
  for (int step = 0; step < 10; ++step) {
    const ShardOutput output = Run(0, 6);
    double norm = 0;
    for (const float value : output.update.values()) {
      norm += double{value} * value;
    }
    for (int64_t i = 0; i < parameters_.size(); ++i) {
      parameters_.data()[i] -=
          0.02F * output.update.data()[i] / static_cast<float>(std::sqrt(norm));
    }
  }
  EXPECT_LT(Run(0, 6).metrics.meta_loss(), before);
}

}  // namespace
}  // namespace innerloop::meta
