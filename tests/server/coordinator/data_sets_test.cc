// Data sets that jobs need: what keeps them, and workers that are still fetching them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

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
    spec.mutable_limits()->set_shard_timeout_seconds(5);
    v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
    tasks.set_dataset("digits");
    tasks.set_ways(2);
    tasks.set_shots(1);
    tasks.mutable_split()->mutable_counts()->set_train(2);
    job_ = cluster_.Submit(spec).id();
  }

  // The worker says that so much of the data set is there.
  void Fetches(FakeWorker& worker, uint64_t bytes) const {
    v1::Report report;
    v1::FileFetch& fetch = *report.mutable_heartbeat()->add_fetches();
    fetch.set_sha256(file_.sha256());
    fetch.set_bytes(bytes);
    fetch.set_total_bytes(1000);
    worker.Report(report);
  }
  void Pass(absl::Duration time) {
    cluster_.clock.Advance(time);
    cluster_.coordinator().Tick();
  }
  // The worker draws the initial parameters; then it has shards.
  FakeWorker& AddBeginner() {
    FakeWorker& worker = cluster_.AddWorker(1);
    worker.CompleteOldest();
    EXPECT_TRUE(worker.HasItems());
    return worker;
  }

  Cluster cluster_;
  v1::BeginDataSetUploadRequest file_;
  std::string job_;
};

TEST_F(DataSetUseTest, AShardsTimeDoesNotCountWhileItsDataSetComes) {
  FakeWorker& worker = AddBeginner();
  for (uint64_t seconds = 0; seconds < 30; seconds += 4) {
    Fetches(worker, 10 * seconds);
    Pass(absl::Seconds(4));
    ASSERT_FALSE(worker.closed().has_value()) << "after " << seconds << " s";
  }
  v1::Report nothing_on_its_way;
  nothing_on_its_way.mutable_heartbeat();
  worker.Report(nothing_on_its_way);
  Pass(absl::Seconds(4));
  EXPECT_TRUE(worker.closed().has_value()) << "it computes, and for too long";
}

TEST_F(DataSetUseTest, AWorkerWhoseFetchGetsStuckIsPartedWith) {
  FakeWorker& worker = AddBeginner();
  Fetches(worker, 10);
  Pass(absl::Seconds(4));
  Fetches(worker, 10);
  Pass(absl::Seconds(4));
  ASSERT_TRUE(worker.closed().has_value());
  EXPECT_THAT(std::string(worker.closed()->message()), HasSubstr("shard_timeout_seconds"));
}

TEST_F(DataSetUseTest, AFetchOfAnotherFileIsNoExcuse) {
  FakeWorker& worker = AddBeginner();
  v1::Report report;
  v1::FileFetch& fetch = *report.mutable_heartbeat()->add_fetches();
  fetch.set_sha256(std::string(64, '0'));
  v1::FileFetch& nameless = *report.mutable_heartbeat()->add_fetches();
  for (uint64_t bytes = 1; bytes <= 2; ++bytes) {
    fetch.set_bytes(bytes);
    nameless.set_bytes(bytes);
    worker.Report(report);
    Pass(absl::Seconds(4));
  }
  EXPECT_TRUE(worker.closed().has_value());
}

TEST_F(DataSetUseTest, TheJobSaysHowMuchOfItsDataSetIsThere) {
  FakeWorker& worker = AddBeginner();
  Fetches(worker, 345);
  EXPECT_EQ(cluster_.Get(job_).waiting_for(),
            "worker 'worker-0' fetches data set 'digits', 30 % are there");
  cluster_.RunUntil(job_, [](const v1::Job& job) { return job.iteration() > 0; });
  v1::Report done;
  done.mutable_heartbeat();
  worker.Report(done);
  EXPECT_EQ(cluster_.Get(job_).waiting_for(), "");
}

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

TEST_F(DataSetUseTest, AnEvaluationThatTheDataSetCannotGiveIsRefusedAtOnce) {
  cluster_.AddWorker(1);
  cluster_.RunToEnd(job_);
  v1::EvaluateRequest request;
  request.set_checkpoint(job_);
  request.mutable_protocol()->set_split(v1::SPLIT_TRAIN);
  request.mutable_protocol()->set_shots(4);
  absl::Status status;
  cluster_.coordinator().Evaluate(request, [&](const auto& result) { status = result.status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("class 'a' of the training split of 'digits' has 4 examples"));
}

}  // namespace
}  // namespace innerloop::server
