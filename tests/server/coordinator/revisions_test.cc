// What users change of jobs that are there already.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<uint64_t> PeriodicVersions(Cluster& cluster, const std::string& id) {
  EXPECT_TRUE(cluster.recorder->Flush().ok());
  std::vector<uint64_t> versions;
  const auto stored = cluster.state->Evaluations(id, 0);
  for (const v1::Evaluation& evaluation : *stored) {
    if (evaluation.periodic()) {
      versions.push_back(evaluation.iteration());
    }
  }
  return versions;
}

// With short evaluations of the training tasks' kind.
v1::JobSpec EvaluatedJob(uint64_t iterations, uint64_t every) {
  v1::JobSpec spec = SmallJob(iterations);
  spec.mutable_evaluation()->set_skip_final(false);
  spec.mutable_evaluation()->set_every(every);
  spec.mutable_evaluation()->mutable_periodic()->set_episodes(10);
  spec.mutable_evaluation()->mutable_final()->set_episodes(10);
  return spec;
}

TEST(RevisionsTest, AJobTakesOtherSchedulesAndKeepsItsBits) {
  Cluster cluster;
  cluster.AddWorker(2);
  const std::string whole = cluster.Submit(EvaluatedJob(30, 0)).id();
  cluster.RunToEnd(whole);

  const std::string id = cluster.Submit(EvaluatedJob(20, 0)).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 12; });
  v1::JobSpec spec = cluster.Get(id).spec();
  spec.set_name("renamed");
  spec.set_iterations(30);
  spec.set_weight(2);
  spec.mutable_evaluation()->set_every(10);
  spec.mutable_checkpoint()->set_every(5);
  const auto revised = cluster.coordinator().Revise(id, spec);
  ASSERT_TRUE(revised.ok()) << revised.status();
  EXPECT_EQ(revised->spec().evaluation().every(), 10);
  const v1::Job done = cluster.RunToEnd(id);
  EXPECT_EQ(done.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(done.iteration(), 30);
  EXPECT_EQ(cluster.ParametersOf(id), cluster.ParametersOf(whole));
  EXPECT_THAT(PeriodicVersions(cluster, id), ElementsAre(20, 30));
  EXPECT_TRUE(done.has_best_checkpoint());
  cluster.Restart();
  EXPECT_EQ(cluster.Get(id).spec().name(), "renamed");
}

TEST(RevisionsTest, AScheduleThatEndsElsewhereIsToldOf) {
  Cluster cluster;
  cluster.AddWorker(2);
  v1::JobSpec spec = EvaluatedJob(20, 0);
  spec.mutable_outer_optimizer()->mutable_schedule()->mutable_cosine();
  const std::string id = cluster.Submit(spec).id();
  EXPECT_THAT(cluster.coordinator().Extend(id, 30)->warnings(), IsEmpty()) << "nothing is done yet";
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 12; });
  EXPECT_THAT(cluster.coordinator().Extend(id, 40)->warnings(),
              ElementsAre(HasSubstr("which was 30 for its first 12 and is 40 now")));
  EXPECT_THAT(cluster.RunToEnd(id).warnings(), SizeIs(1));
  EXPECT_THAT(cluster.coordinator().Extend(id, 50)->warnings(),
              ElementsAre(HasSubstr("which was 40 for its first 40 and is 50 now")));

  const std::string constant = cluster.Submit(EvaluatedJob(20, 0)).id();
  cluster.RunToEnd(constant);
  EXPECT_THAT(cluster.coordinator().Extend(constant, 40)->warnings(), IsEmpty());
}

TEST(RevisionsTest, WhatDecidesTheBitsMayNotChange) {
  Cluster cluster;
  const std::string id = cluster.Submit(SmallJob(10)).id();
  v1::JobSpec spec = cluster.Get(id).spec();
  spec.set_seed(7);
  absl::Status status = cluster.coordinator().Revise(id, spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("seed: absent against 7"));
  spec.set_seed(0);
  spec.set_iterations(9);
  status = cluster.coordinator().Revise(id, spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("can only be extended"));
  EXPECT_EQ(cluster.Get(id).spec().iterations(), 10);
}

TEST(RevisionsTest, ADoneJobIsEvaluatedAgainUnderAnotherProtocol) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(EvaluatedJob(3, 0)).id();
  v1::Job job = cluster.RunToEnd(id);
  EXPECT_EQ(job.final().protocol().episodes(), 10);
  job.mutable_spec()->mutable_evaluation()->mutable_final()->set_episodes(20);
  ASSERT_TRUE(cluster.coordinator().Revise(id, job.spec()).ok());
  const v1::Job again = cluster.RunToEnd(id);
  EXPECT_EQ(again.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(again.iteration(), 3);
  EXPECT_EQ(again.final().protocol().episodes(), 20);
}

TEST(RevisionsTest, AnotherNameSetsNothingInMotion) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(EvaluatedJob(3, 0)).id();
  v1::JobSpec spec = cluster.RunToEnd(id).spec();
  spec.set_name("renamed");
  const auto revised = cluster.coordinator().Revise(id, spec);
  ASSERT_TRUE(revised.ok()) << revised.status();
  EXPECT_EQ(revised->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_TRUE(revised->has_final());
  EXPECT_EQ(cluster.Get(id).spec().name(), "renamed");
  cluster.Restart();
  EXPECT_EQ(cluster.Get(id).spec().name(), "renamed");
}

TEST(RevisionsTest, ADoneJobThatIsExtendedDuringAStopStaysDone) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  cluster.coordinator().Stop(absl::ZeroDuration());
  EXPECT_EQ(cluster.coordinator().Extend(id, 5).status().code(), absl::StatusCode::kUnavailable);
  cluster.Restart();
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(cluster.Get(id).spec().iterations(), 3);
}

TEST(RevisionsTest, AnExtensionThatIsRefusedCostsNoHistory) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  const auto stored = cluster.checkpoints->List(id);
  for (const v1::CheckpointInfo& info : *stored) {
    Damage(info.path());
  }
  EXPECT_EQ(cluster.coordinator().Extend(id, 5).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(*cluster.state->History(id, 0, 100), SizeIs(3));
}

TEST(RevisionsTest, ADoneJobBeginsAgainOnlyWhereThereIsRoomForOneMore) {
  Options options;
  options.max_jobs = 1;
  Cluster cluster(options);
  cluster.AddWorker(1);
  const std::string done = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(done);
  const std::string other = cluster.Submit(SmallJob(100'000'000)).id();
  EXPECT_EQ(cluster.coordinator().Extend(done, 5).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cluster.Get(done).spec().iterations(), 3);
  ASSERT_TRUE(cluster.coordinator().Cancel(other).ok());
  EXPECT_TRUE(cluster.coordinator().Extend(done, 5).ok());
  EXPECT_EQ(cluster.RunToEnd(done).iteration(), 5);
}

TEST(RevisionsTest, AStateThatForbidsAChangeIsToldWithTheJob) {
  Cluster cluster;
  const std::string id = cluster.Submit(SmallJob(3)).id();
  ASSERT_TRUE(cluster.coordinator().Cancel(id).ok());
  const absl::Status status = cluster.coordinator().Resume(id).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "job '" + id + "': it is CANCELLED; only a paused job can be resumed");
}

TEST(EvaluationOrderTest, EvaluationsCountInTheOrderOfTheirVersions) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(8);
  const std::string id = cluster.Submit(EvaluatedJob(100, 2)).id();
  // Everything but the evaluation of version 2 is answered; with two under way, training waits.
  const auto is_held = [](const v1::WorkItem& item) {
    return item.has_evaluation() && item.evaluation().version() == 2;
  };
  for (bool answered = true; answered;) {
    answered = false;
    for (const v1::WorkItem& item : worker.Items()) {
      if (!answered && !is_held(item)) {
        worker.Complete(item);
        answered = true;
      }
    }
  }
  EXPECT_EQ(cluster.Get(id).iteration(), 4);
  EXPECT_FALSE(cluster.Get(id).has_last_periodic());
  for (const v1::WorkItem& item : worker.Items()) {
    if (is_held(item)) {
      worker.Complete(item);
    }
  }
  EXPECT_EQ(cluster.Get(id).last_periodic().iteration(), 4);
  EXPECT_THAT(PeriodicVersions(cluster, id), ElementsAre(2, 4));
}

}  // namespace
}  // namespace innerloop::server
