// How a worker connects, loses its coordinator, and leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/worker_fixture.h"

namespace innerloop::worker {
namespace {

using ::testing::HasSubstr;

using ConnectionTest = WorkerFixture;

TEST_F(ConnectionTest, HelloTellsWhatTheWorkerIs) {
  options_.slots = 3;
  options_.metrics_address = "box:9100";
  StartWorker();
  const auto stream = coordinator_.AwaitStream();
  const v1::Hello hello = stream->AwaitReport().hello();
  EXPECT_EQ(hello.protocol_version(), 1u);
  EXPECT_EQ(hello.name(), "box:1");
  EXPECT_EQ(hello.slots(), 3u);
  EXPECT_EQ(hello.fingerprint().device(), "abacus");
  EXPECT_EQ(hello.metrics_address(), "box:9100");
  EXPECT_FALSE(hello.version().empty());
}

TEST_F(ConnectionTest, HeartbeatsComeAgainAndAgain) {
  StartWorker();
  const auto stream = Welcome(/*heartbeat_seconds=*/0.01);
  for (int i = 0; i < 3; ++i) {
    stream->AwaitHeartbeat();
  }
}

TEST_F(ConnectionTest, ComesBackWhenTheCoordinatorDoes) {
  const auto first = StartWithJob();
  coordinator_.Stop();
  first->AwaitEnd();
  coordinator_.Start();
  const auto second = Welcome();
  second->SendJob(Job());
  second->SendParameters("j", 4, Parameters());
  second->SendShard(1, "j", 4, 0, 1);
  EXPECT_EQ(second->AwaitReport().result().work_id(), 1u);
}

TEST_F(ConnectionTest, WaitsForACoordinatorThatIsNotThereYet) {
  coordinator_.Stop();
  StartWorker();
  coordinator_.Start();
  Welcome();
}

TEST_F(ConnectionTest, ComesBackAfterAGoodbyeAndDropsWhatItComputesFromBefore) {
  options_.slots = 2;
  hook_ = [&](const v1::Shard& shard) {
    if (shard.first_task() == 0) {
      gate_.Enter();
    }
    return absl::OkStatus();
  };
  const auto first = StartWithJob();
  first->SendShard(1, "j", 0, 0, 1);
  gate_.AwaitInside(1);
  v1::Instruction goodbye;
  goodbye.mutable_goodbye()->set_reason("it stops");
  first->Send(goodbye);
  first->AwaitEnd();

  const auto second = Welcome();
  second->SendJob(Job());
  second->SendParameters("j", 0, Parameters());
  gate_.Open();
  second->SendShard(1, "j", 0, 5, 7);
  const v1::Report report = second->AwaitReport();
  EXPECT_EQ(report.result().metrics().tasks(), 2u);
}

TEST_F(ConnectionTest, ADamagedFrameEndsTheStreamAndTheNextOneWorks) {
  const auto first = StartWithJob();
  v1::Instruction begin;
  begin.mutable_parameters()->set_job_id("j");
  begin.mutable_parameters()->set_version(1);
  begin.mutable_parameters()->set_bytes(64);
  begin.mutable_parameters()->set_transfer(77);
  first->Send(begin);
  v1::Instruction frame;
  frame.mutable_frame()->set_transfer(77);
  frame.mutable_frame()->set_data(std::string(64, 'x'));
  frame.mutable_frame()->set_crc32c(1);
  first->Send(frame);
  first->AwaitEnd();
  Welcome();
}

TEST_F(ConnectionTest, ParametersOfImpossibleSizeEndTheStream) {
  const auto first = StartWithJob();
  v1::Instruction begin;
  begin.mutable_parameters()->set_job_id("j");
  begin.mutable_parameters()->set_version(1);
  begin.mutable_parameters()->set_bytes(63);
  first->Send(begin);
  first->AwaitEnd();
  Welcome();
}

TEST_F(ConnectionTest, ACoordinatorThatNeverAnswersIsLeft) {
  StartWorker();
  const auto stream = coordinator_.AwaitStream();
  clock_.Advance(options_.welcome_timeout * 2);
  stream->AwaitEnd();
  Welcome();
}

TEST_F(ConnectionTest, DrainingReturnsWhatHasNotBegunAndFinishesTheRest) {
  hook_ = [&](const v1::Shard&) {
    gate_.Enter();
    return absl::OkStatus();
  };
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  gate_.AwaitInside(1);
  stream->SendShard(2, "j", 0, 1, 2);
  stream->SendShard(3, "j", /*version=*/9, 1, 2);
  EXPECT_EQ(stream->AwaitReport().failed().work_id(), 3u);  // so 2 is queued

  worker_->Drain();
  EXPECT_TRUE(stream->AwaitReport().has_draining());
  EXPECT_EQ(stream->AwaitReport().returned().work_id(), 2u);
  stream->SendShard(4, "j", 0, 1, 2);
  EXPECT_EQ(stream->AwaitReport().returned().work_id(), 4u);
  gate_.Open();
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.result().work_id(), 1u);
  EXPECT_EQ(stream->AwaitBuffer(report.result().transfer(), 64), Parameters());
  stream->AwaitEnd();
  EXPECT_EQ(AwaitEnd(), absl::OkStatus());
}

// Many slots that finish at the same time, many times over: one of them may be between taking its
// work out and writing the result when another finds nothing left to answer.
class DrainTest : public WorkerFixture, public ::testing::WithParamInterface<int> {};

TEST_P(DrainTest, NoResultIsLostWhenAllSlotsFinishAtOnce) {
  constexpr int kSlots = 32;
  options_.slots = kSlots;
  hook_ = [&](const v1::Shard&) {
    gate_.Enter();
    return absl::OkStatus();
  };
  const auto stream = StartWithJob();
  for (int i = 1; i <= kSlots; ++i) {
    stream->SendShard(static_cast<uint64_t>(i), "j", 0, 0, 1);
  }
  gate_.AwaitInside(kSlots);
  worker_->Drain();
  EXPECT_TRUE(stream->AwaitReport().has_draining());
  gate_.Open();
  for (int i = 1; i <= kSlots; ++i) {
    const v1::Report report = stream->AwaitReport();
    ASSERT_TRUE(report.has_result()) << "the stream ended after " << i - 1 << " results";
    stream->AwaitBuffer(report.result().transfer(), 64);
  }
  EXPECT_EQ(AwaitEnd(), absl::OkStatus());
}

INSTANTIATE_TEST_SUITE_P(Rounds, DrainTest, ::testing::Range(0, 20));

TEST_F(ConnectionTest, DrainingWaitsUntilAnAnnouncedResultWasFetched) {
  size_ = 2'000'000;
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  const v1::Report report = stream->AwaitReport();
  EXPECT_TRUE(report.result().announced());
  worker_->Drain();
  EXPECT_TRUE(stream->AwaitReport().has_draining());
  v1::Instruction pull;
  pull.mutable_pull()->set_work_id(1);
  stream->Send(pull);
  EXPECT_EQ(stream->AwaitBuffer(report.result().transfer(), 8'000'000), Parameters());
  stream->AwaitEnd();
  EXPECT_EQ(AwaitEnd(), absl::OkStatus());
}

TEST_F(ConnectionTest, DrainingWithoutACoordinatorEndsAtOnce) {
  coordinator_.Stop();
  StartWorker();
  worker_->Drain();
  EXPECT_EQ(AwaitEnd(), absl::OkStatus());
}

TEST_F(ConnectionTest, ASlotThatHangsEndsTheWorkerWithItsName) {
  hook_ = [&](const v1::Shard&) {
    gate_.Enter();
    return absl::OkStatus();
  };
  const auto stream = StartWithJob(/*heartbeat_seconds=*/0.01);
  stream->SendShard(1, "j", 0, 20, 30);
  gate_.AwaitInside(1);
  clock_.Advance(absl::Seconds(140));  // shard_timeout is 100 s
  stream->AwaitHeartbeat();
  stream->AwaitHeartbeat();
  clock_.Advance(absl::Seconds(20));
  const absl::Status status = AwaitEnd();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("slot 0 hangs: tasks 20 to 30 of iteration 0 of job j"));
}

}  // namespace
}  // namespace innerloop::worker
