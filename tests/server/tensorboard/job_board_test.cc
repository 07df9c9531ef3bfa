#include "server/tensorboard/job_board.h"

#include <optional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/storage/recorder.h"
#include "tests/core/support/manual_clock.h"
#include "tests/server/storage/temporary_state.h"
#include "tests/server/tensorboard/events.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

v1::Job Job(v1::JobState state = v1::JOB_STATE_RUNNING) {
  v1::Job job = JobNamed("j1");
  job.set_state(state);
  job.mutable_spec()->set_name("../a b");
  job.mutable_spec()->set_meta_batch(25);
  return job;
}

v1::IterationRecord At(uint64_t iteration) {
  v1::IterationRecord record = Record(iteration, 10.0 + static_cast<double>(iteration));
  record.set_seconds(static_cast<double>(iteration));
  return record;
}

v1::Evaluation Validation(uint64_t iteration) {
  v1::Evaluation evaluation = PeriodicEvaluation(iteration, 0.5);
  evaluation.mutable_protocol()->set_split(v1::SPLIT_VALIDATION);
  evaluation.mutable_steps(0)->set_step(3);
  evaluation.mutable_steps(0)->set_accuracy(0.75);
  return evaluation;
}

using Points = std::vector<std::pair<int64_t, float>>;

// A tag's points in all files, without what later files replace, as TensorBoard has it.
Points PointsOf(const std::string& folder, const std::string& tag) {
  Points points;
  for (const std::string& path : EventFiles(folder)) {
    for (const tensorboard::Event& event : ReadEvents(path)) {
      if (event.has_session_log()) {
        std::erase_if(points, [&](const auto& point) { return point.first >= event.step(); });
      }
      for (const auto& value : event.summary().value()) {
        if (value.tag() == tag) {
          points.emplace_back(event.step(), value.simple_value());
        }
      }
    }
  }
  return points;
}

class JobBoardsTest : public ::testing::Test {
 protected:
  void Restart() { boards_.emplace(folder_.path(), clock_); }

  TemporaryFolder folder_;
  ManualClock clock_;
  std::optional<JobBoards> boards_{std::in_place, folder_.path(), clock_};
};

TEST_F(JobBoardsTest, EachMeasureIsATagAndStepsCountTheIterationsDone) {
  const v1::Job job = Job();
  boards_->Record("j1", &job, {At(0), At(1)}, {Validation(1)});
  EXPECT_THAT(EventFiles(folder_.path()),
              ElementsAre(HasSubstr(".._a_b-j1/events.out.tfevents.000000.")));
  EXPECT_THAT(PointsOf(folder_.path(), "training/meta_loss"),
              ElementsAre(Pair(1, 10.0F), Pair(2, 11.0F)));
  EXPECT_THAT(PointsOf(folder_.path(), "training/iterations_per_second"),
              ElementsAre(Pair(2, 1.0F)));
  EXPECT_THAT(PointsOf(folder_.path(), "evaluation/validation/accuracy/step_3"),
              ElementsAre(Pair(1, 0.75F)));
  EXPECT_THAT(PointsOf(folder_.path(), "evaluation/validation/loss/step_3"),
              ElementsAre(Pair(1, 0.5F)));
}

TEST_F(JobBoardsTest, PointsAreDatedWhenTheyWereMeasured) {
  const v1::Job job = Job();
  boards_->Record("j1", &job, {At(0), At(1), At(3)}, {});
  const std::vector<tensorboard::Event> events = ReadEvents(EventFiles(folder_.path()).front());
  const double now = absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch());
  EXPECT_EQ(events.end()[-3].wall_time(), now - 3);
  EXPECT_EQ(events.end()[-2].wall_time(), now - 2);
  EXPECT_EQ(events.end()[-1].wall_time(), now);
}

TEST_F(JobBoardsTest, TheSpecificationIsATextUntilItChanges) {
  v1::Job job = Job();
  boards_->Record("j1", &job, {At(0)}, {});
  boards_->Record("j1", &job, {At(1)}, {});
  job.mutable_spec()->set_meta_batch(26);
  boards_->Record("j1", &job, {At(2)}, {});
  std::vector<std::string> texts;
  for (const tensorboard::Event& event : ReadEvents(EventFiles(folder_.path()).front())) {
    for (const auto& value : event.summary().value()) {
      if (value.metadata().plugin_data().plugin_name() == "text") {
        texts.push_back(value.tensor().string_val(0));
      }
    }
  }
  EXPECT_THAT(texts, ElementsAre("    name: \"../a b\"\n    meta_batch: 25",
                                 "    name: \"../a b\"\n    meta_batch: 26"));
}

TEST_F(JobBoardsTest, IterationsThatAreComputedAgainReplaceTheEarlierOnes) {
  const v1::Job job = Job();
  boards_->Record("j1", &job, {At(0), At(1), At(2), At(3)}, {Validation(2)});
  Restart();
  // From the checkpoint of version 2, whose evaluation was done.
  v1::IterationRecord again = At(2);
  again.set_meta_loss(99);
  boards_->Record("j1", &job, {again}, {});
  EXPECT_THAT(EventFiles(folder_.path()), SizeIs(2));
  EXPECT_THAT(PointsOf(folder_.path(), "training/meta_loss"),
              ElementsAre(Pair(1, 10.0F), Pair(2, 11.0F), Pair(3, 99.0F)));
  EXPECT_THAT(PointsOf(folder_.path(), "evaluation/validation/loss/step_3"), SizeIs(1));
}

TEST_F(JobBoardsTest, AnEvaluationOfAnEarlierVersionReplacesNothing) {
  v1::Job job = Job();
  boards_->Record("j1", &job, {At(0), At(1), At(2), At(3)}, {Validation(4)});
  Restart();
  job.set_state(v1::JOB_STATE_PAUSED);
  job.set_iteration(4);
  boards_->Record("j1", &job, {}, {});
  boards_->Record("j1", nullptr, {}, {Validation(2)});
  EXPECT_THAT(PointsOf(folder_.path(), "training/meta_loss"), SizeIs(4));
  EXPECT_THAT(PointsOf(folder_.path(), "evaluation/validation/loss/step_3"),
              ElementsAre(Pair(4, 0.5F), Pair(2, 0.5F)));
}

TEST_F(JobBoardsTest, AJobKeepsItsFolderWhenItsNameChanges) {
  v1::Job job = Job();
  boards_->Record("j1", &job, {At(0)}, {});
  Restart();
  job.mutable_spec()->set_name("other");
  boards_->Record("j1", &job, {At(1)}, {});
  EXPECT_THAT(EventFiles(folder_ / ".._a_b-j1"), SizeIs(2));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other-j1"));
}

TEST_F(JobBoardsTest, AnEndedJobHasItsLastIterationsToo) {
  v1::Job job = Job();
  v1::IterationRecord quick = At(1);
  quick.set_seconds(0.25);
  boards_->Record("j1", &job, {At(0), quick}, {});
  EXPECT_THAT(PointsOf(folder_.path(), "training/meta_loss"), SizeIs(1));
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  boards_->Record("j1", &job, {}, {});
  EXPECT_THAT(PointsOf(folder_.path(), "training/meta_loss"), SizeIs(2));
}

TEST_F(JobBoardsTest, AJobWithoutHistoryLeavesNothing) {
  const v1::Job job = Job(v1::JOB_STATE_FAILED);
  boards_->Record("j1", &job, {}, {});
  EXPECT_THAT(EventFiles(folder_.path()), IsEmpty());
}

TEST_F(JobBoardsTest, AFolderThatCannotBeWrittenStopsNobody) {
  WriteFile(folder_ / ".._a_b-j1", "in the way");
  const v1::Job job = Job();
  boards_->Record("j1", &job, {At(0)}, {});
  std::filesystem::remove(folder_ / ".._a_b-j1");
  boards_->Record("j1", nullptr, {At(1)}, {});
  EXPECT_THAT(PointsOf(folder_.path(), "training/meta_loss"), ElementsAre(Pair(2, 11.0F)));
}

TEST(RecorderWithBoards, WritesWhatBecameDurable) {
  const TemporaryFolder folder;
  const TemporaryFolder boards_folder;
  FailingFileSystem files;
  const auto state = *StateStore::Open(folder.path());
  ASSERT_TRUE(state->InsertJob(JobNamed("j1"), "").ok());
  CheckpointStore checkpoints(folder.path(), files);
  JobBoards boards(boards_folder.path(), Clock::Real());
  Recorder recorder(*state, checkpoints, Clock::Real(), &boards);
  recorder.UpdateJob(JobNamed("j1"));
  recorder.AddIteration("j1", At(0));
  recorder.AddEvaluation("j1", Validation(1));
  ASSERT_TRUE(recorder.Flush().ok());
  EXPECT_THAT(PointsOf(boards_folder.path(), "training/meta_loss"), SizeIs(1));
  EXPECT_THAT(PointsOf(boards_folder.path(), "evaluation/validation/accuracy/step_3"), SizeIs(1));
}

}  // namespace
}  // namespace innerloop::server
