#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/api/retry.h"
#include "client/api/training_client.h"
#include "core/dataset/dataset.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const grpc::Status kAway(grpc::StatusCode::UNAVAILABLE, "stopping");

class ApiTest : public ::testing::Test {
 protected:
  TrainingClient Client(absl::Duration patience = absl::Minutes(1)) {
    return TrainingClient(
        {.coordinator = service_.address(), .call_patience = patience, .stream_patience = patience},
        cancellation_);
  }

  FakeTraining service_;
  Cancellation cancellation_;
  TestFolder folder_;
};

v1::JobEvents Iterations(uint64_t first, uint64_t last) {
  v1::JobEvents events;
  for (uint64_t i = first; i <= last; ++i) {
    events.add_iterations()->set_iteration(i);
  }
  return events;
}

v1::JobEvents Ended(v1::JobState state) {
  v1::JobEvents events;
  events.mutable_job()->set_id("j1");
  events.mutable_job()->set_state(state);
  return events;
}

TEST_F(ApiTest, SubmissionIsRepeatedUnderOneRequestIdWhileTheCoordinatorIsAway) {
  service_.FailNext(kAway);
  service_.FailNext(kAway);
  const auto job = Client().Submit(v1::JobSpec());
  ASSERT_TRUE(job.ok()) << job.status();
  const auto requests = service_.submitted();
  ASSERT_EQ(requests.size(), 3);
  EXPECT_FALSE(requests[0].request_id().empty());
  EXPECT_EQ(requests[0].request_id(), requests[2].request_id());
}

TEST_F(ApiTest, TwoSubmissionsAreTwoJobs) {
  TrainingClient client = Client();
  ASSERT_TRUE(client.Submit(v1::JobSpec()).ok());
  ASSERT_TRUE(client.Submit(v1::JobSpec()).ok());
  EXPECT_NE(service_.submitted()[0].request_id(), service_.submitted()[1].request_id());
}

TEST_F(ApiTest, ARefusalIsNotRepeated) {
  service_.FailNext({grpc::StatusCode::INVALID_ARGUMENT, "meta_batch is 0"});
  const auto job = Client().Submit(v1::JobSpec());
  EXPECT_EQ(job.status(), absl::InvalidArgumentError("meta_batch is 0"));
  EXPECT_EQ(service_.submitted().size(), 1);
}

TEST_F(ApiTest, WhatCannotBeRepeatedSafelyIsNot) {
  service_.FailNext(kAway);
  EXPECT_TRUE(absl::IsUnavailable(Client().Pause("j1").status()));
  EXPECT_THAT(service_.calls(), ElementsAre("pause j1"));
}

TEST_F(ApiTest, AListIsPutTogetherFromItsPages) {
  for (const char* id : {"j1", "j2", "j3"}) {
    v1::Job job;
    job.set_id(id);
    service_.AddJob(job);
  }
  const auto jobs = Client().List();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_EQ(jobs->size(), 3);
  EXPECT_EQ(jobs->at(0).id(), "j1");
  EXPECT_EQ(jobs->at(2).id(), "j3");
  EXPECT_THAT(service_.calls(), ElementsAre("list", "list", "list"));
}

TEST(Unreachable, IsSaidWithTheAddress) {
  Cancellation cancellation;
  TrainingClient client({.coordinator = "127.0.0.1:1", .call_patience = absl::ZeroDuration()},
                        cancellation);
  const auto jobs = client.List();
  EXPECT_TRUE(absl::IsUnavailable(jobs.status()));
  EXPECT_THAT(std::string(jobs.status().message()),
              StartsWith("cannot reach the coordinator at 127.0.0.1:1"));
}

TEST(Unreachable, ACancellationEndsTheWaitForTheCoordinator) {
  Cancellation cancellation;
  TrainingClient client({.coordinator = "127.0.0.1:1", .call_patience = absl::InfiniteDuration()},
                        cancellation);
  cancellation.Cancel(absl::CancelledError("interrupted"));
  EXPECT_EQ(client.List().status(), absl::CancelledError("interrupted"));
}

TEST(Backoff, GrowsToTwoSeconds) {
  Backoff backoff;
  EXPECT_LE(backoff.Next(), absl::Milliseconds(50));
  absl::Duration last;
  for (int i = 0; i < 20; ++i) {
    last = backoff.Next();
  }
  EXPECT_GE(last, absl::Seconds(1));
  EXPECT_LE(last, absl::Seconds(2));
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(50));
}

TEST_F(ApiTest, WatchGoesOnFromTheNextIterationAfterABreak) {
  service_.AddWatch({.messages = {Iterations(3, 5)}, .end = kAway});
  // A coordinator that was killed computes iterations again that were told already.
  service_.AddWatch({.messages = {Iterations(4, 7), Ended(v1::JOB_STATE_SUCCEEDED)}});
  std::vector<uint64_t> seen;
  int breaks = 0;
  const auto job = Client().Watch("j1", 3,
                                  {.on_events =
                                       [&](const v1::JobEvents& events) {
                                         for (const auto& record : events.iterations()) {
                                           seen.push_back(record.iteration());
                                         }
                                       },
                                   .on_break = [&](const absl::Status&) { ++breaks; }});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(seen, ElementsAre(3, 4, 5, 6, 7));
  EXPECT_THAT(service_.watched_from(), ElementsAre(3, 6));
  EXPECT_EQ(breaks, 1);
}

TEST_F(ApiTest, WatchTellsOfEachEvaluationOnce) {
  v1::JobEvents periodic;
  periodic.add_evaluations()->set_iteration(10);
  v1::JobEvents both = periodic;
  both.add_evaluations()->set_iteration(10);
  both.mutable_evaluations(1)->set_final(true);
  service_.AddWatch({.messages = {periodic}, .end = kAway});
  service_.AddWatch({.messages = {both, Ended(v1::JOB_STATE_FAILED)}});
  int evaluations = 0;
  const auto job = Client().Watch("j1", 0, {.on_events = [&](const v1::JobEvents& events) {
                                    evaluations += events.evaluations_size();
                                  }});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(evaluations, 2);
}

TEST_F(ApiTest, AStreamThatEndsBeforeTheJobIsOpenedAgain) {
  service_.AddWatch({.messages = {Ended(v1::JOB_STATE_RUNNING)}});
  service_.AddWatch({.messages = {Ended(v1::JOB_STATE_CANCELLED)}});
  const auto job = Client().Watch("j1", 0, {.on_events = [](const v1::JobEvents&) {}});
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(ApiTest, WatchFailsWhenPatienceRunsOut) {
  const auto job =
      Client(absl::ZeroDuration()).Watch("j1", 0, {.on_events = [](const v1::JobEvents&) {}});
  EXPECT_TRUE(absl::IsUnavailable(job.status())) << job.status();
}

TEST_F(ApiTest, ACancellationEndsAWatch) {
  service_.AddWatch({.messages = {Iterations(0, 0)}, .hold = true});
  const auto job = Client().Watch("j1", 0, {.on_events = [&](const v1::JobEvents&) {
                                    cancellation_.Cancel(absl::CancelledError("interrupted"));
                                  }});
  EXPECT_EQ(job.status(), absl::CancelledError("interrupted"));
}

TEST_F(ApiTest, ADataSetIsUploadedWhole) {
  const std::string path = folder_.path() + "/digits.safetensors";
  WriteDigits(path);
  const auto added = Client().UploadDataSet("mine", path, nullptr);
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(added->name(), "mine");
  EXPECT_EQ(service_.data_set(added->sha256()), ReadFile(path));
}

TEST_F(ApiTest, ABrokenUploadGoesOnWhereItBroke) {
  // Three pieces of at most 1 MiB.
  DatasetContent content{
      .name = "big", .example_shape = {1024, 1024, 1}, .class_names = {"a", "b"}};
  content.images.resize(size_t{2} << 20);
  content.labels = {0, 1};
  const std::string path = folder_.path() + "/big.safetensors";
  ASSERT_TRUE(WriteDataset(content, path).ok());
  service_.BreakTransferAfter(uint64_t{1} << 20);
  std::vector<uint64_t> told;
  const auto added =
      Client().UploadDataSet("big", path, [&](uint64_t done, uint64_t) { told.push_back(done); });
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_THAT(service_.upload_offsets(), ElementsAre(0, uint64_t{1} << 20));
  EXPECT_EQ(service_.data_set(added->sha256()), ReadFile(path));
  EXPECT_EQ(told.back(), ReadFile(path).size());
}

TEST_F(ApiTest, ADataSetThatTheCoordinatorHasIsNotSentAgain) {
  const std::string path = folder_.path() + "/digits.safetensors";
  WriteDigits(path);
  TrainingClient client = Client();
  ASSERT_TRUE(client.UploadDataSet("one", path, nullptr).ok());
  const auto again = client.UploadDataSet("two", path, nullptr);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name(), "two");
  EXPECT_EQ(service_.upload_offsets().size(), 1);
}

TEST_F(ApiTest, ADamagedDataSetIsNotSent) {
  const std::string path = folder_.path() + "/digits.safetensors";
  WriteDigits(path);
  std::string bytes = ReadFile(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  folder_.Write("digits.safetensors", bytes);
  const auto added = Client().UploadDataSet("digits", path, nullptr);
  EXPECT_TRUE(absl::IsDataLoss(added.status())) << added.status();
  EXPECT_THAT(std::string(added.status().message()), HasSubstr("digits.safetensors"));
  EXPECT_THAT(service_.calls(), IsEmpty());
}

class DownloadTest : public ApiTest {
 protected:
  DownloadTest() {
    WriteSmallCheckpoint(original_);
    v1::CheckpointInfo info;
    info.set_job_id("j1");
    info.set_iteration(3);
    service_.AddCheckpoint(info, "an older one");
    info.set_iteration(7);
    info.set_bytes(ReadFile(original_).size());
    service_.AddCheckpoint(info, ReadFile(original_));
  }

  const std::string original_ = folder_.path() + "/original.safetensors";
  const std::string copy_ = folder_.path() + "/copy.safetensors";
};

TEST_F(DownloadTest, TheLastCheckpointArrivesWholeOverABreak) {
  service_.BreakTransferAfter(1000);
  const auto path = Client().DownloadCheckpoint("j1", copy_, nullptr);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(ReadFile(copy_), ReadFile(original_));
  EXPECT_THAT(service_.calls(),
              ElementsAre("checkpoints", "download j1@7 0", "download j1@7 1000"));
}

TEST_F(DownloadTest, WhatIsDamagedIsNotKept) {
  const auto path = Client().DownloadCheckpoint("j1@3", copy_, nullptr);
  EXPECT_TRUE(absl::IsDataLoss(path.status())) << path.status();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()),
                          std::filesystem::directory_iterator()),
            1);  // the original
}

TEST_F(DownloadTest, AnUnknownCheckpointIsNamed) {
  const auto path = Client().DownloadCheckpoint("j1@best", copy_, nullptr);
  EXPECT_TRUE(absl::IsNotFound(path.status()));
  EXPECT_THAT(std::string(path.status().message()), HasSubstr("'j1@best'"));
}

TEST_F(DownloadTest, AnUploadedCheckpointIsTheFile) {
  const auto job = Client().UploadCheckpoint(original_, nullptr);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->id(), "adopted");
  EXPECT_EQ(service_.checkpoint(), ReadFile(original_));
}

}  // namespace
}  // namespace innerloop::client
