// What is hard to come by with a whole coordinator: wishes that fall into a moment.
#include "server/jobs/job_runner.h"

#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/job_spec.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Remembers what it is asked for, and does nothing of it. One thread only.
class RememberingHost final : public JobHost {
 public:
  void AddEvaluation(std::shared_ptr<EvaluationRun> run) override {
    evaluations.push_back(std::move(run));
  }
  void RemoveEvaluation(EvaluationRun& /*run*/) override {}
  void DropItems(JobRunner& /*job*/) override {}
  void WriteCheckpoint(JobRunner& /*job*/, Checkpoint checkpoint, bool /*best*/) override {
    written.push_back(checkpoint.metadata.iteration());
  }
  void End(JobRunner& /*job*/, v1::Job row) override { ended.push_back(std::move(row)); }
  void Changed(JobRunner& /*job*/) override {}

  std::vector<std::shared_ptr<EvaluationRun>> evaluations;
  std::vector<uint64_t> written;
  std::vector<v1::Job> ended;
};

class JobRunnerTest : public ::testing::Test {
 protected:
  JobRunnerTest()
      : state_(*StateStore::Open(folder_.path())),
        checkpoints_(folder_.path(), FileSystem::Real()),
        recorder_(*state_, checkpoints_, clock_),
        log_(recorder_, events_, clock_) {
    EXPECT_TRUE(state_->InsertJob(JobNamed("a"), "").ok());
  }

  // A job that goes on from version 3, once its float work is done.
  JobRunner& Restore(v1::JobState state, uint64_t evaluate_every = 0) {
    v1::JobSpec spec = SmallJob(100);
    spec.mutable_evaluation()->set_every(evaluate_every);
    v1::Job row = JobNamed("a");
    row.set_state(state);
    *row.mutable_spec() = *ResolveJobSpec(spec, nullptr);
    runner_ = std::make_unique<JobRunner>(
        std::move(row), std::nullopt,
        JobRunner::Environment{recorder_, clock_, host_, log_, metrics_->ForJob("a"),
                               /*max_parameters=*/1000});
    JobRunner::Past past;
    past.checkpoint = CheckpointOf("a", 3);
    runner_->Restore(std::move(past));
    return *runner_;
  }
  FloatResult Compute(FloatWork work) {
    return Do(std::move(work), runner_->outer_loop(), runner_->spec(), clock_);
  }
  void DoFloatWork() {
    while (runner_->HasFloatWork()) {
      runner_->Apply(Compute(runner_->TakeFloatWork()));
    }
  }
  // A worker's result of one shard.
  void AnswerOne() {
    ShardBoard& board = runner_->board();
    const std::optional<size_t> shard =
        board.Pick("worker", [](const std::set<std::string>& /*failed_on*/) { return false; });
    ASSERT_TRUE(shard.has_value());
    const uint64_t work = ++works_;
    board.Started(work, *shard, "worker", clock_.Monotonic());
    std::vector<uint64_t> drop;
    ASSERT_TRUE(board.Finished(work, clock_.Monotonic(), &drop));
    v1::ResultBegin result;
    result.mutable_metrics()->set_tasks(runner_->Tasks(*shard));
    runner_->OnResult(*shard, result, /*fingerprint=*/"",
                      FlatBuffer(CheckpointOf("a", 0).layout.flat_size()));
  }
  void AnswerAll() {
    for (size_t left = runner_->board().size(); left > 0; --left) {
      AnswerOne();
    }
  }
  void RunIteration() {
    AnswerAll();
    DoFloatWork();
  }
  void CheckpointIsWritten(uint64_t iteration) {
    v1::CheckpointInfo info;
    info.set_iteration(iteration);
    runner_->OnCheckpointWritten(info, absl::ZeroDuration());
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  std::unique_ptr<StateStore> state_;
  CheckpointStore checkpoints_;
  Recorder recorder_;
  EventCounter events_;
  JobLog log_;
  const std::unique_ptr<Metrics> metrics_ = *Metrics::Create("", /*state_dir=*/"");
  RememberingHost host_;
  uint64_t works_ = 0;
  std::unique_ptr<JobRunner> runner_;
};

TEST_F(JobRunnerTest, AJobThatIsEndingTakesNoWishes) {
  JobRunner& runner = Restore(v1::JOB_STATE_PAUSED);
  DoFloatWork();
  runner.Fail(absl::DeadlineExceededError("it took too long"));
  ASSERT_THAT(host_.ended, SizeIs(1));
  // Whatever is stored after its end would be what a restart goes on from.
  const absl::Status ending = absl::FailedPreconditionError("it is ending; ask again");
  EXPECT_EQ(runner.Resume(), ending);
  EXPECT_EQ(runner.Revise(host_.ended[0].spec()), ending);
  EXPECT_EQ(runner.Pause(), ending);
  EXPECT_EQ(runner.state(), v1::JOB_STATE_PAUSED);
}

TEST_F(JobRunnerTest, AJobThatIsResumedBeforeItsCheckpointIsThereRuns) {
  JobRunner& runner = Restore(v1::JOB_STATE_PAUSED);
  ASSERT_TRUE(runner.Resume().ok());
  EXPECT_EQ(runner.state(), v1::JOB_STATE_RUNNING);
  DoFloatWork();
  EXPECT_EQ(runner.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(runner.board().size(), 4);
}

TEST_F(JobRunnerTest, AHurriedStopGivesAnIterationUpAlsoWhileItsSumsAreComputed) {
  JobRunner& runner = Restore(v1::JOB_STATE_RUNNING);
  DoFloatWork();
  RunIteration();
  AnswerOne();
  FloatWork work = runner.TakeFloatWork();
  runner.Suspend();
  runner.Hurry();
  EXPECT_FALSE(runner.Settled());
  runner.Apply(Compute(std::move(work)));
  DoFloatWork();
  EXPECT_THAT(host_.written, ElementsAre(4));
  CheckpointIsWritten(4);
  EXPECT_TRUE(runner.Settled());
}

TEST_F(JobRunnerTest, AHurriedStopLetsAnOuterStepThatIsDueBeTaken) {
  JobRunner& runner = Restore(v1::JOB_STATE_RUNNING);
  DoFloatWork();
  AnswerAll();
  runner.Suspend();
  runner.Hurry();
  DoFloatWork();
  EXPECT_THAT(host_.written, ElementsAre(4));
  CheckpointIsWritten(4);
  EXPECT_TRUE(runner.Settled());
}

TEST_F(JobRunnerTest, AHurriedStopGoesBackToTheOldestVersionUnderEvaluation) {
  JobRunner& runner = Restore(v1::JOB_STATE_RUNNING, /*evaluate_every=*/2);
  DoFloatWork();
  RunIteration();
  ASSERT_THAT(host_.evaluations, SizeIs(1));
  EXPECT_EQ(host_.evaluations[0]->evaluation().iteration(), 4);
  RunIteration();
  AnswerOne();
  runner.Suspend();
  runner.Hurry();
  DoFloatWork();
  CheckpointIsWritten(4);
  DoFloatWork();
  EXPECT_THAT(host_.written, ElementsAre(4)) << "behind 5, version 4 would never be evaluated";
  EXPECT_TRUE(runner.Settled());
}

}  // namespace
}  // namespace innerloop::server
