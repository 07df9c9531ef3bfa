// What users change of jobs that are there already, and what keeps data sets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

class DataSetUseTest : public ::testing::Test {
 protected:
  DataSetUseTest() {
    DatasetContent content{
        .name = "digits", .example_shape = {2}, .class_names = {"a", "b", "c", "d"}};
    for (int i = 0; i < 16; ++i) {
      content.labels.push_back(i / 4);
      content.features.insert(content.features.end(), 2, static_cast<float>(i));
    }
    const std::string path = cluster_.folder / "digits.safetensors";
    EXPECT_TRUE(WriteDataset(content, path).ok());
    const std::string bytes = *FileSystem::Real().Read(path);
    file_.set_name("digits");
    file_.set_sha256(Sha256::Hex(bytes));
    file_.set_bytes(bytes.size());
    EXPECT_TRUE(cluster_.data_sets->Begin(file_).ok());
    EXPECT_TRUE(cluster_.data_sets->Append(file_, 0, bytes).ok());
    EXPECT_TRUE(cluster_.data_sets->Finish(file_).ok());
    v1::JobSpec spec = SmallJob(3);
    v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
    tasks.set_dataset("digits");
    tasks.set_ways(2);
    tasks.set_shots(1);
    tasks.mutable_split()->mutable_counts()->set_train(2);
    job_ = cluster_.Submit(spec).id();
  }

  Cluster cluster_;
  v1::BeginDataSetUploadRequest file_;
  std::string job_;
};

TEST_F(DataSetUseTest, JobsNeedTheirDataSetAlsoWhenTheyHaveEnded) {
  auto uses = cluster_.coordinator().UsesOf(file_.sha256());
  ASSERT_EQ(uses.size(), 1);
  EXPECT_EQ(uses[0].job, job_);
  EXPECT_FALSE(uses[0].ended);
  ASSERT_TRUE(cluster_.coordinator().Cancel(job_).ok());
  uses = cluster_.coordinator().UsesOf(file_.sha256());
  ASSERT_EQ(uses.size(), 1);
  EXPECT_TRUE(uses[0].ended);
  EXPECT_TRUE(cluster_.coordinator().UsesOf(std::string(64, '0')).empty());
}

TEST_F(DataSetUseTest, AnEvaluationWithoutItsDataSetSaysHowToBringItBack) {
  cluster_.AddWorker(1);
  cluster_.RunToEnd(job_);
  ASSERT_TRUE(cluster_.data_sets->Delete("digits").ok());
  v1::EvaluateRequest request;
  request.set_checkpoint(job_);
  absl::Status status;
  cluster_.coordinator().Evaluate(request, [&](const auto& result) { status = result.status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the data set 'digits' of SHA-256 "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("innerloop dataset add digits=FILE"));
}

}  // namespace
}  // namespace innerloop::server
