// The worker's smaller parts by themselves.
#include <atomic>

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "tests/worker/worker_fixture.h"
#include "worker/backoff.h"
#include "worker/health.h"
#include "worker/parameter_cache.h"
#include "worker/slot_pool.h"

namespace innerloop::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(BackoffTest, DoublesUpToTheLastAndStartsOverAfterReset) {
  Backoff backoff(absl::Seconds(1), absl::Seconds(5), [] { return 0.5; });
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(750));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(1500));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(3000));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(3750));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(3750));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(750));
}

TEST(BackoffTest, JitterSpreadsOverTheUpperHalf) {
  double uniform = 0;
  Backoff backoff(absl::Seconds(2), absl::Seconds(2), [&] { return uniform; });
  EXPECT_EQ(backoff.Next(), absl::Seconds(1));
  uniform = 0.999;
  EXPECT_GT(backoff.Next(), absl::Seconds(1.99));
}

class ParameterCacheTest : public ::testing::Test {
 protected:
  absl::Status Begin(uint64_t version, uint64_t bytes) {
    v1::ParametersBegin begin;
    begin.set_job_id("j");
    begin.set_version(version);
    begin.set_bytes(bytes);
    begin.set_transfer(version);
    return cache_.Begin(begin);
  }
  absl::Status Frame(uint64_t transfer, uint64_t offset, const std::string& data) {
    const auto place = cache_.OnFrame(transfer, offset, data.size());
    if (!place.ok() || *place == nullptr) {
      return place.status();
    }
    std::copy(data.begin(), data.end(), *place);
    return cache_.OnFrameDone(transfer, data.size(), Crc32c(data));
  }

  std::unique_ptr<Metrics> metrics_ = *Metrics::Create("", {"0", "0", "f"});
  std::shared_ptr<ParameterMemory> memory_ = std::make_shared<ParameterMemory>(100, *metrics_);
  ParameterCache cache_{memory_};
};

TEST_F(ParameterCacheTest, AVersionIsThereWhenItsLastFrameIs) {
  ASSERT_TRUE(Begin(3, 8).ok());
  ASSERT_TRUE(Frame(3, 0, "abcd").ok());
  EXPECT_EQ(cache_.Find("j", 3), nullptr);
  ASSERT_TRUE(Frame(3, 4, "efgh").ok());
  ASSERT_NE(cache_.Find("j", 3), nullptr);
  EXPECT_EQ(cache_.Find("j", 3)->bytes(), "abcdefgh");
  EXPECT_EQ(cache_.Find("j", 2), nullptr);
  EXPECT_EQ(cache_.Find("k", 3), nullptr);
}

TEST_F(ParameterCacheTest, MemoryIsTakenAtTheBeginningAndReturnedWithTheLastUser) {
  ASSERT_TRUE(Begin(1, 60).ok());
  EXPECT_EQ(Begin(2, 60).code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(Frame(1, 0, std::string(60, 'x')).ok());
  auto user = cache_.Find("j", 1);
  cache_.ReleaseBelow("j", 2);
  EXPECT_EQ(cache_.Find("j", 1), nullptr);
  EXPECT_EQ(Begin(2, 60).code(), absl::StatusCode::kResourceExhausted);
  user.reset();
  EXPECT_TRUE(Begin(2, 60).ok());
  cache_.ReleaseJob("j");  // also what is still arriving
  EXPECT_TRUE(Begin(3, 100).ok());
}

TEST_F(ParameterCacheTest, ReleasingKeepsTheVersionItselfAndLaterOnes) {
  for (const uint64_t version : {1, 2, 3}) {
    ASSERT_TRUE(Begin(version, 4).ok());
    ASSERT_TRUE(Frame(version, 0, "abcd").ok());
  }
  cache_.ReleaseBelow("j", 2);
  EXPECT_EQ(cache_.Find("j", 1), nullptr);
  EXPECT_NE(cache_.Find("j", 2), nullptr);
  EXPECT_NE(cache_.Find("j", 3), nullptr);
}

TEST_F(ParameterCacheTest, RefusesSizesAndTransfersThatNobodySends) {
  EXPECT_EQ(Begin(1, 0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Begin(1, 6).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Begin(1, UINT64_MAX - 3).code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(Begin(1, 8).ok());
  EXPECT_EQ(Begin(1, 8).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Frame(1, 4, "abcd").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Frame(1, 0, "abcdefghijkl").code(), absl::StatusCode::kInvalidArgument);
  // Of a transfer that was never begun, or was given up: dropped.
  EXPECT_TRUE(Frame(9, 0, "abcd").ok());
}

TEST(SlotPoolTest, TasksThatHaveNotBegunCanBeTakenBack) {
  const auto metrics = *Metrics::Create("", {"0", "0", "f"});
  ManualClock clock;
  Gate gate;
  std::atomic<int> ran{0};
  const int mine = 0;
  const int other = 0;
  {
    SlotPool pool(
        1, [] {}, clock, *metrics);
    pool.Submit({&mine, 1, [&](Slot&) { gate.Enter(); }});
    gate.AwaitInside(1);
    for (const uint64_t id : {2, 3, 4}) {
      pool.Submit({&mine, id, [&](Slot&) { ran += 1; }});
    }
    pool.Submit({&other, 2, [&](Slot&) { ran += 100; }});
    EXPECT_FALSE(pool.Remove(&mine, 1));
    EXPECT_TRUE(pool.Remove(&mine, 3));
    EXPECT_FALSE(pool.Remove(&mine, 3));
    EXPECT_THAT(pool.RemoveAll(&mine), ElementsAre(2, 4));
    absl::Notification last;
    pool.Submit({&other, 3, [&](Slot&) { last.Notify(); }});
    gate.Open();
    last.WaitForNotification();
  }
  EXPECT_EQ(ran, 100);
}

TEST(SlotPoolTest, EachThreadIsPreparedBeforeItsFirstTask) {
  const auto metrics = *Metrics::Create("", {"0", "0", "f"});
  ManualClock clock;
  thread_local bool prepared = false;
  SlotPool pool(
      2, [] { prepared = true; }, clock, *metrics);
  absl::Notification seen;
  bool was_prepared = false;
  pool.Submit({nullptr, 1, [&](Slot&) {
                 was_prepared = prepared;
                 seen.Notify();
               }});
  seen.WaitForNotification();
  EXPECT_TRUE(was_prepared);
  EXPECT_FALSE(prepared);
}

TEST(MetricsTest, AnAddressThatIsTakenIsNamed) {
  const auto first = Metrics::Create("127.0.0.1:0", {"0", "0", "f"});
  ASSERT_TRUE(first.ok());
  EXPECT_NE((*first)->address(), "127.0.0.1:0");
  const auto second = Metrics::Create((*first)->address(), {"0", "0", "f"});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
}

// The answer of the standard health service, whose generated code the system does not ship: one
// enum field, 1 for SERVING and 2 for NOT_SERVING.
std::string HealthAt(const std::string& address) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const grpc::Slice nothing("", 0);
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&](const grpc::Status& result) {
                   status = result;
                   done.Notify();
                 });
  done.WaitForNotification();
  if (!status.ok()) {
    return status.error_message();
  }
  grpc::Slice answer;
  EXPECT_TRUE(response.DumpToSingleSlice(&answer).ok());
  return {reinterpret_cast<const char*>(answer.begin()), answer.size()};
}

TEST(HealthServerTest, ServesWhileTheWorkerIsConnected) {
  const auto health = HealthServer::Create("127.0.0.1:0");
  ASSERT_TRUE(health.ok()) << health.status();
  EXPECT_EQ(HealthAt((*health)->address()), "\x08\x02");
  (*health)->SetServing(true);
  EXPECT_EQ(HealthAt((*health)->address()), "\x08\x01");
  (*health)->SetServing(false);
  EXPECT_EQ(HealthAt((*health)->address()), "\x08\x02");
}

TEST(HealthServerTest, AnAddressThatIsTakenIsNamed) {
  const auto first = HealthServer::Create("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const auto second = HealthServer::Create((*first)->address());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
}

}  // namespace
}  // namespace innerloop::worker
