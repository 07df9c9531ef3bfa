#include "server/storage/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckpointStoreTest : public ::testing::Test {
 protected:
  v1::CheckpointInfo Write(uint64_t iteration, bool best = false, uint32_t keep = 2) {
    Checkpoint checkpoint = CheckpointOf("job1", iteration);
    absl::StatusOr<v1::CheckpointInfo> info = store_.Write(checkpoint, best, keep);
    EXPECT_TRUE(info.ok()) << info.status();
    return *std::move(info);
  }
  static std::vector<uint64_t> Listed(CheckpointStore& store) {
    const auto infos = store.List("job1");
    EXPECT_TRUE(infos.ok()) << infos.status();
    std::vector<uint64_t> iterations;
    for (const v1::CheckpointInfo& info : *infos) {
      iterations.push_back(info.iteration());
    }
    return iterations;
  }
  std::vector<uint64_t> Listed() { return Listed(store_); }
  std::string PathOf(uint64_t iteration) {
    return state_ / absl::StrCat("jobs/job1/", CheckpointFileName(iteration));
  }

  TemporaryFolder state_;
  FailingFileSystem files_;
  CheckpointStore store_{state_.path(), files_};
};

TEST_F(CheckpointStoreTest, TellsWhatItWrote) {
  const v1::CheckpointInfo info = Write(100);
  EXPECT_EQ(info.job_id(), "job1");
  EXPECT_EQ(info.iteration(), 100);
  EXPECT_EQ(info.path(), PathOf(100));
  EXPECT_EQ(info.bytes(), std::filesystem::file_size(PathOf(100)));
  EXPECT_EQ(info.parameters_sha256().size(), 64);
  EXPECT_FALSE(info.best());
  EXPECT_GT(info.written().seconds(), 1'600'000'000);
  EXPECT_EQ(store_.Read("job1", nullptr)->parameters.data()[0], 100);
}

TEST_F(CheckpointStoreTest, KeepsTheLastThoseBeforeItAndTheBest) {
  Write(100);
  EXPECT_TRUE(Write(200, /*best=*/true).best());
  Write(300);
  Write(400);
  Write(500);
  Write(600);
  EXPECT_THAT(Listed(), ElementsAre(200, 400, 500, 600));
  EXPECT_TRUE(store_.List("job1")->front().best());
  EXPECT_EQ(store_.Read("job1@best", nullptr)->metadata.iteration(), 200);
  Write(700, /*best=*/true, /*keep=*/0);
  EXPECT_THAT(Listed(), ElementsAre(700));
}

TEST_F(CheckpointStoreTest, WhichIsTheBestSurvivesARestart) {
  Write(100, /*best=*/true);
  Write(200);
  CheckpointStore other(state_.path(), FileSystem::Real());
  EXPECT_EQ(other.Read("job1@best", nullptr)->metadata.iteration(), 100);
  EXPECT_THAT(Listed(other), ElementsAre(100, 200));
}

TEST_F(CheckpointStoreTest, DamagedOnesArePassedOverAndNamed) {
  Write(100);
  Write(200);
  Write(300);
  Damage(PathOf(300));
  Damage(PathOf(200));
  std::vector<std::string> damaged;
  const auto checkpoint = store_.Read("job1", &damaged);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->metadata.iteration(), 100);
  EXPECT_THAT(damaged, ElementsAre(HasSubstr(PathOf(300)), HasSubstr(PathOf(200))));
  EXPECT_THAT(Listed(), ElementsAre(100));
  EXPECT_EQ(*store_.PathOf("job1"), PathOf(100));
  EXPECT_EQ(store_.Read("job1@300", nullptr).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointStoreTest, ADamagedLaterOneDoesNotPushOutTheGoodOnes) {
  Write(100);
  Write(200);
  Damage(PathOf(200));
  // The job went on from 100.
  Write(150, /*best=*/false, /*keep=*/0);
  EXPECT_EQ(store_.Read("job1", nullptr)->metadata.iteration(), 150);
}

TEST_F(CheckpointStoreTest, WhenAllAreDamagedItSaysSo) {
  Write(100);
  Damage(PathOf(100));
  const absl::Status status = store_.Read("job1", nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("all 1 checkpoints of job 'job1'"));
}

TEST_F(CheckpointStoreTest, WhereAFileIsIsToldWithoutReadingItAgain) {
  Write(100, /*best=*/true);
  Write(200);
  const auto written = std::filesystem::last_write_time(PathOf(100));
  Damage(PathOf(100));
  std::filesystem::last_write_time(PathOf(100), written);
  for (const char* reference : {"job1@100", "job1@best"}) {
    const auto path = store_.PathOf(reference);
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_EQ(*path, PathOf(100));
  }
  EXPECT_EQ(*store_.PathOf("job1"), PathOf(200));
  // Another coordinator has not seen it.
  CheckpointStore other(state_.path(), FileSystem::Real());
  EXPECT_EQ(other.PathOf("job1@100").status().code(), absl::StatusCode::kDataLoss);
  const absl::Status none = store_.PathOf("job1@150").status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.message()), HasSubstr("those of iterations 100, 200"));
}

TEST_F(CheckpointStoreTest, AFullDiskLeavesTheLastGoodOne) {
  Write(100);
  files_.full = true;
  Checkpoint checkpoint = CheckpointOf("job1", 200);
  const absl::Status status = store_.Write(checkpoint, /*best=*/true, /*keep=*/0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Listed(), ElementsAre(100));
}

TEST_F(CheckpointStoreTest, UnknownOnesAreNotFoundAndTheKnownOnesAreTold) {
  EXPECT_THAT(std::string(store_.Read("job1", nullptr).status().message()),
              HasSubstr("job 'job1' has no checkpoints"));
  Write(100);
  Write(200);
  for (const char* reference : {"job1@150", "job1@best"}) {
    const absl::Status status = store_.Read(reference, nullptr).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << reference;
    EXPECT_THAT(std::string(status.message()), HasSubstr("those of iterations 100, 200"));
  }
}

TEST_F(CheckpointStoreTest, ReferencesCannotLeaveTheFolder) {
  for (const char* reference :
       {"", "..", "../job1", "job1/../job1", "Job1", "job1@", "job1@-1", "job1@1@2"}) {
    EXPECT_EQ(store_.Read(reference, nullptr).status().code(), absl::StatusCode::kInvalidArgument)
        << reference;
  }
  EXPECT_EQ(store_.DeleteJob("..").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.List("a/b").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CheckpointStoreTest, ADeletedJobLeavesNothing) {
  Write(100, /*best=*/true);
  ASSERT_TRUE(store_.DeleteJob("job1").ok());
  EXPECT_FALSE(std::filesystem::exists(state_ / "jobs/job1"));
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_TRUE(store_.DeleteJob("job1").ok()) << "deleting it again is fine";
}

TEST_F(CheckpointStoreTest, AJobThatIsSetAsideIsGoneUntilItIsPutBack) {
  Write(100, /*best=*/true);
  ASSERT_TRUE(store_.SetAside("job1").ok());
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_THAT(store_.Jobs(), IsEmpty());
  EXPECT_THAT(store_.JobsSetAside(), ElementsAre("job1"));
  ASSERT_TRUE(store_.PutBack("job1").ok());
  EXPECT_THAT(Listed(), ElementsAre(100));
  EXPECT_THAT(store_.Jobs(), ElementsAre("job1"));
  EXPECT_TRUE(store_.PutBack("job1").ok()) << "it was not set aside";
  ASSERT_TRUE(store_.SetAside("job1").ok());
  ASSERT_TRUE(store_.DeleteJob("job1").ok());
  EXPECT_THAT(store_.JobsSetAside(), IsEmpty());
  EXPECT_TRUE(store_.SetAside("job2").ok()) << "it has no checkpoints";
  EXPECT_EQ(store_.SetAside("..").code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace innerloop::server
