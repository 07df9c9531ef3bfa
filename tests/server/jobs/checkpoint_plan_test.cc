#include "server/jobs/checkpoint_plan.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

v1::CheckpointSchedule Schedule(uint64_t every, double seconds) {
  v1::CheckpointSchedule schedule;
  schedule.set_every(every);
  schedule.set_every_seconds(seconds);
  return schedule;
}

Checkpoint Of(uint64_t version) {
  Checkpoint checkpoint;
  checkpoint.metadata.set_iteration(version);
  return checkpoint;
}

v1::Evaluation Result(uint64_t version, double loss) {
  v1::Evaluation evaluation;
  evaluation.set_iteration(version);
  evaluation.add_steps()->set_loss(loss);
  return evaluation;
}

void Offer(CheckpointPlan& plan, uint64_t version) {
  plan.Taken(version, 0);
  plan.Offer(Of(version));
}

TEST(CheckpointPlanTest, IsDueByIterationsOrBySeconds) {
  CheckpointPlan plan(Schedule(10, 30));
  plan.Start(0, 0, /*stored=*/false);
  EXPECT_FALSE(plan.Due(9, 29.9));
  EXPECT_TRUE(plan.Due(10, 0));
  EXPECT_TRUE(plan.Due(1, 30));
  plan.Taken(10, 5);
  EXPECT_FALSE(plan.Due(19, 34.9));
  EXPECT_TRUE(plan.Due(20, 6));
}

TEST(CheckpointPlanTest, OneThatFellIntoAWriteIsMadeUpFor) {
  CheckpointPlan plan(Schedule(10, 1000));
  plan.Start(0, 0, /*stored=*/false);
  Offer(plan, 10);
  ASSERT_TRUE(plan.Next().has_value());
  EXPECT_FALSE(plan.Due(20, 0)) << "a second one while the first is being written";
  plan.Written(true);
  EXPECT_TRUE(plan.Due(21, 0));
}

TEST(CheckpointPlanTest, WaitsForEvaluationsOfEarlierVersions) {
  CheckpointPlan plan(Schedule(0, 30));
  plan.BeginEvaluation(5);
  plan.Hold(Of(5));
  Offer(plan, 7);
  EXPECT_FALSE(plan.Next().has_value());
  plan.EndEvaluation(Result(5, 1.0), /*comparable=*/true);
  // The best so far, and older: it goes first.
  std::optional<CheckpointPlan::Write> write = plan.Next();
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->checkpoint.metadata.iteration(), 5);
  EXPECT_TRUE(write->best);
  EXPECT_EQ(write->checkpoint.metadata.validation_loss(), 1.0);
  EXPECT_FALSE(plan.Next().has_value()) << "two at a time";
  plan.Written(true);
  write = plan.Next();
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->checkpoint.metadata.iteration(), 7);
  EXPECT_FALSE(write->best);
  plan.Written(true);
  EXPECT_TRUE(plan.idle());
  EXPECT_TRUE(plan.Stored(7));
}

TEST(CheckpointPlanTest, DoesNotWaitForTheEvaluationOfItsOwnVersion) {
  CheckpointPlan plan(Schedule(0, 30));
  plan.BeginEvaluation(5);
  plan.Hold(Of(5));
  Offer(plan, 5);
  EXPECT_TRUE(plan.Next().has_value());
}

TEST(CheckpointPlanTest, OnlyABetterOneBecomesTheBest) {
  CheckpointPlan plan(Schedule(0, 30));
  plan.SetBest(-1.0);
  plan.BeginEvaluation(5);
  plan.Hold(Of(5));
  plan.EndEvaluation(Result(5, 1.0), /*comparable=*/true);
  EXPECT_FALSE(plan.Next().has_value()) << "equally good is not better";
  plan.BeginEvaluation(10);
  plan.Hold(Of(10));
  plan.EndEvaluation(Result(10, 0.9), /*comparable=*/true);
  ASSERT_TRUE(plan.Next().has_value());
}

TEST(CheckpointPlanTest, UnderAnotherProtocolTheBestIsChosenAnew) {
  CheckpointPlan plan(Schedule(0, 30));
  plan.SetBest(-1.0);
  plan.BeginEvaluation(5);
  plan.Hold(Of(5));
  plan.ForgetBest();
  plan.EndEvaluation(Result(5, 0.5), /*comparable=*/false);
  EXPECT_FALSE(plan.Next().has_value()) << "it began under the protocol of before";
  plan.BeginEvaluation(10);
  plan.Hold(Of(10));
  plan.EndEvaluation(Result(10, 3.0), /*comparable=*/true);
  const std::optional<CheckpointPlan::Write> write = plan.Next();
  ASSERT_TRUE(write.has_value());
  EXPECT_TRUE(write->best);
}

TEST(CheckpointPlanTest, ABestOneThatCouldNotBeWrittenIsNotTheBest) {
  CheckpointPlan plan(Schedule(0, 30));
  plan.SetBest(-2.0);
  plan.BeginEvaluation(5);
  plan.Hold(Of(5));
  plan.EndEvaluation(Result(5, 1.0), /*comparable=*/true);
  ASSERT_TRUE(plan.Next().has_value());
  plan.Written(false);
  plan.BeginEvaluation(10);
  plan.Hold(Of(10));
  plan.EndEvaluation(Result(10, 1.5), /*comparable=*/true);
  ASSERT_TRUE(plan.Next().has_value()) << "1.5 is better than what is stored, 2.0";
}

TEST(CheckpointPlanTest, ALossThatIsNoNumberIsNeverTheBest) {
  CheckpointPlan plan(Schedule(0, 30));
  for (double loss : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    plan.BeginEvaluation(5);
    plan.Hold(Of(5));
    plan.EndEvaluation(Result(5, loss), /*comparable=*/true);
    EXPECT_FALSE(plan.Next().has_value());
  }
}

TEST(CheckpointPlanTest, StoppingEarlyKeepsTheOldestVersionUnderEvaluation) {
  CheckpointPlan plan(Schedule(0, 30));
  plan.BeginEvaluation(5);
  plan.Hold(Of(5));
  plan.BeginEvaluation(10);
  plan.Hold(Of(10));
  Offer(plan, 12);
  EXPECT_TRUE(plan.GiveUpEvaluations());
  EXPECT_FALSE(plan.GiveUpEvaluations()) << "there are none any more";
  const std::optional<CheckpointPlan::Write> write = plan.Next();
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->checkpoint.metadata.iteration(), 5);
}

}  // namespace
}  // namespace innerloop::server
