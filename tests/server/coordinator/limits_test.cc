// What workers may say, and for how long they may be waited for.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LimitsTest : public ::testing::Test {
 protected:
  // The worker announces the parameters that it drew: 400 MB, of which two do not travel at once.
  static uint64_t AnnounceLarge(FakeWorker& worker) {
    const v1::WorkItem item = worker.Items().front();
    EXPECT_TRUE(item.has_initialise());
    v1::Report report;
    v1::ResultBegin& result = *report.mutable_result();
    result.set_work_id(item.id());
    result.set_bytes(400'000'000);
    result.set_transfer(1);
    result.set_announced(true);
    v1::TensorSpec& tensor = *result.mutable_layout()->add_tensors();
    tensor.set_name("weight");
    tensor.add_shape(100'000'000);
    worker.Report(report);
    return item.id();
  }
  void Pass(absl::Duration time) {
    cluster_.clock.Advance(time);
    for (const auto& worker : cluster_.workers()) {
      cluster_.coordinator().OnAlive(worker->id());
    }
    cluster_.coordinator().Tick();
  }

  // How an adaptation ended. Destroyed after the cluster, whose end calls back.
  std::optional<absl::Status> adapted_;
  Cluster cluster_;
};

TEST_F(LimitsTest, AResultThatWaitsToBeAskedForIsNoShardThatHangs) {
  v1::JobSpec spec = SmallJob(3);
  spec.mutable_limits()->set_shard_timeout_seconds(5);
  FakeWorker& one = cluster_.AddWorker(1);
  FakeWorker& other = cluster_.AddWorker(1);
  const std::string first = cluster_.Submit(spec).id();
  cluster_.Submit(spec);
  ASSERT_TRUE(one.HasItems() && other.HasItems());
  AnnounceLarge(one);
  const uint64_t waiting = AnnounceLarge(other);
  Pass(absl::Seconds(4));
  ASSERT_TRUE(cluster_.coordinator().Cancel(first).ok());
  ASSERT_THAT(other.pulled(), ElementsAre(waiting));
  Pass(absl::Seconds(4));
  EXPECT_FALSE(other.closed().has_value());
  Pass(absl::Seconds(2));
  ASSERT_TRUE(other.closed().has_value()) << "it was asked for, and did not come";
  EXPECT_THAT(std::string(other.closed()->message()), HasSubstr("shard_timeout_seconds"));
}

TEST_F(LimitsTest, AShardWhoseResultIsAnnouncedIsNotGivenOutAgain) {
  FakeWorker& slow = cluster_.AddWorker(1);
  FakeWorker& quick = cluster_.AddWorker(3);
  const std::string id = cluster_.Submit(SmallJob(2)).id();
  cluster_.RunUntil(id, [](const v1::Job& job) { return job.state() != v1::JOB_STATE_QUEUED; });
  ASSERT_THAT(slow.Items(), SizeIs(1));
  while (quick.HasItems()) {
    quick.CompleteOldest();
  }
  slow.announces = true;
  slow.CompleteOldest();
  ASSERT_THAT(slow.pulled(), SizeIs(1));
  Pass(absl::Milliseconds(150));
  EXPECT_THAT(quick.Items(), IsEmpty());
  EXPECT_TRUE(slow.AnswerPull());
  EXPECT_THAT(quick.Items(), SizeIs(3)) << "the next iteration";
}

TEST_F(LimitsTest, AnAnnouncementOfNothingIsNotRemembered) {
  FakeWorker& worker = cluster_.AddWorker(1);
  v1::Report report;
  report.mutable_result()->set_work_id(12345);
  report.mutable_result()->set_transfer(8);
  report.mutable_result()->set_announced(true);
  worker.Report(report);
  EXPECT_THAT(worker.forgotten(), IsEmpty());
}

TEST_F(LimitsTest, AFileOfImpossibleSizeIsAnErrorOfItsWorker) {
  FakeWorker& worker = cluster_.AddWorker();
  const std::string id = cluster_.Submit(SmallJob(2)).id();
  cluster_.RunToEnd(id);
  const auto pin = cluster_.coordinator().Pin(id);
  ASSERT_TRUE(pin.ok()) << pin.status();
  v1::AdaptationTask task;
  task.set_format(v1::ExportRequest::FORMAT_SAFETENSORS);
  cluster_.coordinator().Adapt(
      *pin, std::move(task),
      [this](const absl::StatusOr<Adapted>& result) { adapted_ = result.status(); });
  ASSERT_TRUE(worker.HasItems());
  while (worker.HasItems()) {
    v1::Report report;
    report.mutable_result()->set_work_id(worker.Items()[0].id());
    // Padded to whole floats it would be none.
    report.mutable_result()->mutable_adaptation()->set_file_bytes(UINT64_MAX);
    // As if the worker had answered it itself.
    v1::Instruction forget;
    forget.mutable_drop()->set_work_id(report.result().work_id());
    worker.Send(forget);
    worker.Report(report);
  }
  ASSERT_TRUE(adapted_.has_value());
  EXPECT_EQ(adapted_->code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(adapted_->message()),
              HasSubstr("file has 18446744073709551615 bytes; at most"));
}

TEST_F(LimitsTest, WhatAWorkerSaysOfAFailureIsCutBetweenCharacters) {
  std::string message = "x";
  while (message.size() < 1'000'000) {
    message += "\xc3\xa9";
  }
  FakeWorker& worker = cluster_.AddWorker(1);
  const std::string id = cluster_.Submit(SmallJob(3)).id();
  worker.Fail(worker.Items()[0], absl::StatusCode::kInvalidArgument, message);
  EXPECT_EQ(cluster_.RunToEnd(id).failure_message(), message.substr(0, 9'999));
}

TEST_F(LimitsTest, WhyAWorkerDeclinesAJobIsCut) {
  FakeWorker& worker = cluster_.AddWorker(1);
  const std::string id = cluster_.Submit(SmallJob(2)).id();
  v1::Report declined;
  declined.mutable_declined()->set_job_id(id);
  declined.mutable_declined()->set_reason(std::string(1'000'000, 'x'));
  worker.Report(declined);
  const std::string waiting = cluster_.Get(id).waiting_for();
  EXPECT_THAT(waiting, HasSubstr(std::string(1'000, 'x')));
  EXPECT_LT(waiting.size(), 1'200);
}

TEST_F(LimitsTest, AHelloOfBooksIsRefused) {
  const std::string long_text(201, 'x');
  std::vector<v1::Hello> hellos(7);
  hellos[0].set_name(long_text);
  hellos[1].set_version(long_text);
  hellos[2].set_metrics_address(long_text);
  hellos[3].mutable_fingerprint()->set_numerics_version(long_text);
  hellos[4].mutable_fingerprint()->set_libtorch(long_text);
  hellos[5].mutable_fingerprint()->set_device(long_text);
  hellos[6].mutable_fingerprint()->set_math(long_text);
  for (v1::Hello& hello : hellos) {
    hello.set_protocol_version(1);
    hello.set_slots(1);
    const absl::Status status = cluster_.coordinator().Connect(hello, nullptr).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << hello.ShortDebugString();
    EXPECT_THAT(std::string(status.message()), HasSubstr("201 characters; at most 200"));
  }
}

}  // namespace
}  // namespace innerloop::server
