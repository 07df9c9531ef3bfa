#include "server/iteration/measures.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

TEST(MeasuresTest, MeansAreOverTasksNotOverShards) {
  v1::TaskMetrics large;
  large.set_tasks(3);
  large.set_meta_loss(9);
  large.set_meta_accuracy(1.5);
  v1::TaskMetrics small;
  small.set_tasks(1);
  small.set_meta_loss(1);
  small.set_meta_accuracy(0.5);
  v1::IterationRecord record;
  FillMeans({large, small}, record);
  EXPECT_DOUBLE_EQ(record.meta_loss(), 2.5);
  EXPECT_DOUBLE_EQ(record.meta_accuracy(), 0.5);
  EXPECT_FALSE(record.has_support_loss_before());
}

TEST(MeasuresTest, AQuantityThatAPartLacksIsLeftOut) {
  v1::TaskMetrics with;
  with.set_tasks(1);
  with.set_meta_accuracy(1);
  v1::TaskMetrics without;
  without.set_tasks(1);
  v1::IterationRecord record;
  FillMeans({with, without}, record);
  EXPECT_FALSE(record.has_meta_accuracy());
}

TEST(MeasuresTest, IntervalsAreThoseOfTheSampleAsAWhole) {
  // Losses 1, 2, 3, 6 in two parts: mean 3, sample variance 14/3.
  v1::EvaluationSums first;
  first.set_episodes(2);
  first.add_loss(3);
  first.add_loss_squares(5);
  v1::EvaluationSums second;
  second.set_episodes(2);
  second.add_loss(9);
  second.add_loss_squares(45);
  v1::Evaluation evaluation;
  evaluation.mutable_protocol()->set_inner_steps(0);
  FillSteps({first, second}, evaluation);
  ASSERT_EQ(evaluation.steps_size(), 1);
  EXPECT_DOUBLE_EQ(evaluation.steps(0).loss(), 3);
  EXPECT_NEAR(evaluation.steps(0).loss_ci95(), 1.96 * std::sqrt(14.0 / 3 / 4), 1e-12);
  EXPECT_FALSE(evaluation.steps(0).has_accuracy());
}

TEST(MeasuresTest, SumsOfAnotherShapeAreRefused) {
  v1::EvaluationProtocol protocol;
  protocol.set_inner_steps(1);
  v1::EvaluationSums sums;
  sums.set_episodes(25);
  for (int i = 0; i < 2; ++i) {
    sums.add_loss(1);
    sums.add_loss_squares(1);
  }
  EXPECT_TRUE(CheckSums(sums, 25, protocol).ok());
  EXPECT_THAT(std::string(CheckSums(sums, 24, protocol).message()), HasSubstr("25 episodes; 24"));
  sums.add_accuracy(1);
  EXPECT_FALSE(CheckSums(sums, 25, protocol).ok());
  sums.clear_accuracy();
  sums.add_loss(1);
  EXPECT_THAT(std::string(CheckSums(sums, 25, protocol).message()), HasSubstr("3 losses"));
}

TEST(MeasuresTest, AccuracyDecidesWhereThereIsOne) {
  v1::Evaluation a;
  a.add_steps()->set_loss(1);
  v1::Evaluation b = a;
  b.mutable_steps(0)->set_loss(2);
  EXPECT_GT(Goodness(a), Goodness(b));
  a.mutable_steps(0)->set_accuracy(0.5);
  b.mutable_steps(0)->set_accuracy(0.6);
  EXPECT_LT(Goodness(a), Goodness(b));
}

}  // namespace
}  // namespace innerloop::server
