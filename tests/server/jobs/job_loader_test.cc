// What becomes of the job in a checkpoint that a user sent, and of one that is taken up again.
#include "server/jobs/job_loader.h"

#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

v1::CheckpointMetadata Sinusoids() {
  v1::CheckpointMetadata metadata;
  metadata.set_job_id("abc");
  metadata.set_iteration(3);
  metadata.set_optimizer_steps(3);
  *metadata.mutable_spec() = SmallJob(3);
  return metadata;
}

// Five users with two features and one target.
v1::CheckpointMetadata Users() {
  v1::CheckpointMetadata metadata = Sinusoids();
  v1::GroupedTasks& tasks = *metadata.mutable_spec()->mutable_tasks()->mutable_grouped();
  tasks.set_dataset("users");
  tasks.set_shots(1);
  tasks.mutable_split()->mutable_counts()->set_train(5);
  v1::DataSetDescription& data_set = *metadata.mutable_data_set();
  data_set.set_name("users");
  data_set.set_sha256(std::string(64, 'a'));
  data_set.set_examples(20);
  data_set.add_example_shape(2);
  data_set.set_target_size(1);
  data_set.set_groups(5);
  data_set.set_smallest_group(4);
  return metadata;
}

std::string ErrorOf(v1::CheckpointMetadata metadata) {
  const absl::Status status = ResolveSent(metadata);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(ResolveSentTest, AnOlderFilesJobGetsTheDefaultsOfWhatItDoesNotKnow) {
  v1::CheckpointMetadata metadata = Sinusoids();
  ASSERT_TRUE(ResolveSent(metadata).ok());
  EXPECT_EQ(metadata.spec().limits().shard_timeout_seconds(), 600);
  EXPECT_EQ(metadata.spec().weight(), 1);
  const std::string once = metadata.spec().SerializeAsString();
  ASSERT_TRUE(ResolveSent(metadata).ok());
  EXPECT_EQ(metadata.spec().SerializeAsString(), once);
}

TEST(ResolveSentTest, AJobThatCannotBeIsRefused) {
  v1::CheckpointMetadata metadata = Sinusoids();
  metadata.mutable_spec()->set_meta_batch(0);
  EXPECT_THAT(ErrorOf(metadata), HasSubstr("meta_batch is missing or 0"));
  metadata = Sinusoids();
  metadata.mutable_spec()->mutable_tasks()->mutable_random_map()->set_inputs(0);
  EXPECT_EQ(ErrorOf(metadata), "tasks.random_map.inputs is 0; it must be 1 to 10000");
  metadata = Sinusoids();
  metadata.set_optimizer_steps(4);
  EXPECT_EQ(ErrorOf(metadata), "optimizer_steps is 4; after 3 iterations at most 3 can be");
}

TEST(ResolveSentTest, ItsDataSetIsDescribedAsADataSetCanBe) {
  v1::CheckpointMetadata metadata = Users();
  const absl::Status status = ResolveSent(metadata);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(metadata.spec().tasks().grouped().dataset_sha256(), std::string(64, 'a'));
  metadata = Users();
  metadata.mutable_data_set()->set_example_shape(0, 0);
  EXPECT_THAT(ErrorOf(metadata), HasSubstr("examples of shape [0]"));
  metadata = Users();
  metadata.clear_data_set();
  EXPECT_EQ(ErrorOf(metadata),
            "data_set.sha256 is ''; it must be the SHA-256 of the data set 'users', 64 lower-case "
            "hex digits");
}

TEST(ResolveSentTest, ThereIsAMeanAndAScaleForEachFeatureOrNone) {
  v1::CheckpointMetadata metadata = Users();
  v1::GroupedTasks& tasks = *metadata.mutable_spec()->mutable_tasks()->mutable_grouped();
  for (int i = 0; i < 2; ++i) {
    tasks.add_feature_means(0);
    tasks.add_feature_scales(1);
  }
  v1::CheckpointMetadata good = metadata;
  EXPECT_TRUE(ResolveSent(good).ok());
  tasks.add_feature_means(0);
  EXPECT_EQ(ErrorOf(metadata),
            "tasks.grouped.feature_means has 3 values and feature_scales 2; an example has 2");
  tasks.add_feature_scales(1);
  EXPECT_THAT(ErrorOf(metadata), HasSubstr("has 3 values and feature_scales 3"));
}

class LoadPastTest : public ::testing::Test {
 protected:
  LoadPastTest() {
    *row_.mutable_spec() = SmallJob(100);
    row_.mutable_spec()->mutable_evaluation()->mutable_periodic()->set_episodes(10);
    EXPECT_TRUE(state_->InsertJob(row_, "").ok());
  }
  // With its loss where it is the best one.
  void Write(uint64_t iteration, std::optional<double> best) {
    Checkpoint checkpoint = CheckpointOf("job1", iteration);
    *checkpoint.metadata.mutable_spec() = row_.spec();
    if (best.has_value()) {
      checkpoint.metadata.set_validation_loss(*best);
    }
    ASSERT_TRUE(checkpoints_.Write(checkpoint, best.has_value(), /*keep=*/5).ok());
  }
  void Evaluate(uint64_t iteration, double loss) {
    v1::Evaluation evaluation = PeriodicEvaluation(iteration, loss);
    *evaluation.mutable_protocol() = row_.spec().evaluation().periodic();
    ASSERT_TRUE(state_->AppendHistory("job1", {}, {evaluation}).ok());
  }
  bool Evaluated() {
    v1::Job row = row_;
    const auto past = LoadPast(row, *state_, checkpoints_);
    EXPECT_TRUE(past.ok() && past->has_value()) << past.status();
    return past.ok() && past->has_value() && (*past)->evaluated;
  }

  TemporaryFolder folder_;
  const std::unique_ptr<StateStore> state_ = *StateStore::Open(folder_.path());
  CheckpointStore checkpoints_{folder_.path(), FileSystem::Real()};
  v1::Job row_ = JobNamed("job1");
};

TEST_F(LoadPastTest, AVersionThatDidNotBecomeTheBestBecauseOfAKillIsEvaluatedAgain) {
  Write(10, /*best=*/1.0);
  Evaluate(10, 1.0);
  EXPECT_TRUE(Evaluated());
  Write(20, std::nullopt);
  EXPECT_FALSE(Evaluated());
  Evaluate(20, 1.5);
  EXPECT_TRUE(Evaluated()) << "version 10 is better";
  Evaluate(20, 0.5);
  EXPECT_FALSE(Evaluated()) << "it should be the best one, and is not";
  Write(20, /*best=*/0.5);
  EXPECT_TRUE(Evaluated());
}

TEST_F(LoadPastTest, AnEvaluationByAnotherProtocolMadeNoneTheBest) {
  Write(10, /*best=*/1.0);
  Write(20, std::nullopt);
  Evaluate(20, 0.5);
  row_.mutable_spec()->mutable_evaluation()->mutable_periodic()->set_episodes(20);
  EXPECT_TRUE(Evaluated());
}

TEST_F(LoadPastTest, TheHistoryOfAJobWithoutACheckpointIsNotForgottenByLooking) {
  ASSERT_TRUE(state_->AppendHistory("job1", Records(0, 5), {}).ok());
  v1::Job row = row_;
  const auto past = LoadPast(row, *state_, checkpoints_);
  ASSERT_TRUE(past.ok()) << past.status();
  EXPECT_FALSE(past->has_value());
  EXPECT_EQ(state_->History("job1", 0, 100)->size(), 5);
}

}  // namespace
}  // namespace innerloop::server
