#include "core/rpc/batch_stream.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/random.h"
#include "core/tensor/transfer.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const FlatBuffer> Ramp(int64_t size) {
  FlatBuffer buffer(size);
  for (int64_t i = 0; i < size; ++i) {
    buffer.data()[i] = static_cast<float>(i);
  }
  return std::make_shared<const FlatBuffer>(std::move(buffer));
}

std::string BytesOf(const grpc::ByteBuffer& batch) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(batch.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// The bytes as they might come off a socket, in slices of `size`.
grpc::ByteBuffer InSlicesOf(absl::string_view bytes, size_t size) {
  std::vector<grpc::Slice> slices;
  for (size_t begin = 0; begin < bytes.size(); begin += size) {
    const absl::string_view piece = bytes.substr(begin, size);
    slices.emplace_back(piece.data(), piece.size());
  }
  return {slices.data(), slices.size()};
}

// Puts transfers together and keeps the rest.
class Collector : public BatchHandler {
 public:
  absl::Status OnEntry(absl::string_view serialised) override {
    v1::Report report;
    if (!report.ParseFromArray(serialised.data(), static_cast<int>(serialised.size()))) {
      return absl::InvalidArgumentError("no report");
    }
    events.push_back(absl::StrCat("entry ", report.result().work_id()));
    return absl::OkStatus();
  }
  absl::StatusOr<char*> OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) override {
    frames_seen += 1;
    if (dropped == transfer) {
      return nullptr;
    }
    auto [it, fresh] = transfers.try_emplace(transfer, transfer, expected_bytes);
    return it->second.Reserve(offset, size);
  }
  absl::Status OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) override {
    events.push_back(absl::StrCat("frame ", transfer));
    return transfers.at(transfer).Commit(size, crc32c);
  }

  uint64_t expected_bytes = 0;
  uint64_t dropped = UINT64_MAX;
  int frames_seen = 0;
  std::vector<std::string> events;
  std::map<uint64_t, IncomingTransfer> transfers;
};

v1::Report Result(uint64_t work_id) {
  v1::Report report;
  report.mutable_result()->set_work_id(work_id);
  return report;
}

TEST(EncodedBufferTest, SharesItsBytesWithEveryWriteInsteadOfCopyingThem) {
  const auto buffer = Ramp(300'000);
  const auto encoded = std::make_shared<const EncodedBuffer>(buffer);
  ASSERT_EQ(encoded->frames(), 2u);
  EXPECT_EQ(encoded->bytes(), 1'200'000u);
  EXPECT_EQ(encoded->slice(1).size(), 1'200'000u - kMaxFrameBytes);

  OutgoingQueue queue;
  queue.PushFrames(encoded, 7);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(queue.Next().Dump(&slices).ok());
  ASSERT_EQ(slices.size(), 4u);
  EXPECT_EQ(static_cast<const void*>(slices[1].begin()), buffer->bytes().data());
  EXPECT_EQ(static_cast<const void*>(slices[3].begin()), buffer->bytes().data() + kMaxFrameBytes);
}

TEST(EncodedBufferTest, KeepsTheBufferAliveUntilTheLastSliceIsGone) {
  auto buffer = Ramp(1000);
  const std::weak_ptr<const FlatBuffer> alive = buffer;
  auto encoded = std::make_shared<const EncodedBuffer>(std::move(buffer));
  OutgoingQueue queue;
  queue.PushFrames(encoded, 1);
  encoded.reset();
  {
    const grpc::ByteBuffer batch = queue.Next();
    EXPECT_FALSE(alive.expired());
  }
  EXPECT_TRUE(alive.expired());
}

TEST(OutgoingQueueTest, WhatItWritesIsAValidMessageWithTheEntriesInOrder) {
  const auto buffer = Ramp(300'000);
  OutgoingQueue queue;
  queue.Push(Result(1));
  queue.Push(Result(2));
  queue.PushFrames(std::make_shared<const EncodedBuffer>(buffer), 9);
  queue.Push(Result(3));
  v1::WorkerMessage message;
  ASSERT_TRUE(message.ParseFromString(BytesOf(queue.Next())));
  EXPECT_TRUE(queue.empty());
  ASSERT_EQ(message.reports_size(), 5);
  EXPECT_EQ(message.reports(0).result().work_id(), 1u);
  EXPECT_EQ(message.reports(1).result().work_id(), 2u);
  const v1::Frame& first = message.reports(2).frame();
  const v1::Frame& second = message.reports(3).frame();
  EXPECT_EQ(first.transfer(), 9u);
  EXPECT_EQ(second.offset(), static_cast<uint64_t>(kMaxFrameBytes));
  EXPECT_EQ(second.crc32c(), Crc32c(second.data()));
  EXPECT_EQ(first.data() + second.data(), buffer->bytes());
  EXPECT_EQ(message.reports(4).result().work_id(), 3u);
}

TEST(OutgoingQueueTest, JoinsWhatIsSmallIntoOneSlice) {
  OutgoingQueue queue;
  for (uint64_t i = 1; i <= 100; ++i) {
    queue.Push(Result(i));
  }
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(queue.Next().Dump(&slices).ok());
  EXPECT_EQ(slices.size(), 1u);
  EXPECT_TRUE(queue.empty());
}

TEST(OutgoingQueueTest, NoWriteIsLargerThanABatchAndNothingIsLost) {
  const auto encoded = std::make_shared<const EncodedBuffer>(Ramp(2'500'000));
  OutgoingQueue queue;
  v1::Report large;
  large.mutable_failed()->set_message(std::string(100'000, 'x'));
  for (int i = 0; i < 30; ++i) {
    queue.Push(large);
  }
  queue.PushFrames(encoded, 1);
  std::string all;
  while (!queue.empty()) {
    const grpc::ByteBuffer batch = queue.Next();
    EXPECT_LE(batch.Length(), static_cast<size_t>(kMaxBatchBytes));
    all += BytesOf(batch);
  }
  v1::WorkerMessage message;
  ASSERT_TRUE(message.ParseFromString(all));
  EXPECT_EQ(message.reports_size(), 30 + static_cast<int>(encoded->frames()));
}

TEST(OutgoingQueueTest, AnEntryAboveTheLimitGoesAlone) {
  OutgoingQueue queue;
  v1::Report large;
  large.mutable_failed()->set_message(std::string(3'000'000, 'x'));
  queue.Push(Result(1));
  queue.Push(large);
  queue.Push(Result(2));
  EXPECT_LT(queue.Next().Length(), 100u);
  EXPECT_GT(queue.Next().Length(), 3'000'000u);
  EXPECT_LT(queue.Next().Length(), 100u);
  EXPECT_TRUE(queue.empty());
}

class SliceSizes : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(ReadBatchTest, SliceSizes, ::testing::Values(1, 7, 8192, 10'000'000));

TEST_P(SliceSizes, BatchesAreReadHoweverTheyWereCut) {
  const auto buffer = Ramp(GetParam() == 1 ? 1000 : 300'000);
  OutgoingQueue queue;
  queue.Push(Result(1));
  queue.PushFrames(std::make_shared<const EncodedBuffer>(buffer), 9);
  queue.Push(Result(2));
  grpc::ByteBuffer batch = InSlicesOf(BytesOf(queue.Next()), GetParam());

  Collector collector;
  collector.expected_bytes = buffer->bytes().size();
  EXPECT_EQ(ReadBatch(batch, collector), absl::OkStatus());
  ASSERT_TRUE(collector.transfers.at(9).complete());
  EXPECT_EQ(collector.transfers.at(9).Take().bytes(), buffer->bytes());
  if (GetParam() == 1) {
    EXPECT_THAT(collector.events, ElementsAre("entry 1", "frame 9", "entry 2"));
  } else {
    EXPECT_THAT(collector.events, ElementsAre("entry 1", "frame 9", "frame 9", "entry 2"));
  }
}

TEST(ReadBatchTest, TakesWhatTheGeneratedCodeWrites) {
  v1::WorkerMessage message;
  *message.add_reports() = Result(5);
  v1::Frame& frame = *message.add_reports()->mutable_frame();
  frame.set_transfer(3);
  frame.set_data("12345678");
  frame.set_crc32c(Crc32c(frame.data()));
  message.add_reports();
  grpc::ByteBuffer batch = InSlicesOf(message.SerializeAsString(), 1000);
  Collector collector;
  collector.expected_bytes = 8;
  EXPECT_EQ(ReadBatch(batch, collector), absl::OkStatus());
  EXPECT_THAT(collector.events, ElementsAre("entry 5", "frame 3", "entry 0"));
  EXPECT_EQ(collector.transfers.at(3).Take().bytes(), "12345678");
}

TEST(ReadBatchTest, FramesOfTransfersThatNobodyWantsAreSkipped) {
  OutgoingQueue queue;
  queue.PushFrames(std::make_shared<const EncodedBuffer>(Ramp(1000)), 9);
  queue.Push(Result(2));
  grpc::ByteBuffer batch = queue.Next();
  Collector collector;
  collector.dropped = 9;
  EXPECT_EQ(ReadBatch(batch, collector), absl::OkStatus());
  EXPECT_THAT(collector.events, ElementsAre("entry 2"));
}

TEST(ReadBatchTest, TheHandlersErrorEndsTheBatch) {
  std::string bytes;
  {
    OutgoingQueue queue;
    queue.PushFrames(std::make_shared<const EncodedBuffer>(Ramp(1000)), 9);
    queue.Push(Result(2));
    bytes = BytesOf(queue.Next());
  }
  bytes[100] ^= 1;  // inside the frame's data
  grpc::ByteBuffer batch = InSlicesOf(bytes, 10'000);
  Collector collector;
  collector.expected_bytes = 4000;
  EXPECT_EQ(ReadBatch(batch, collector).code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(collector.events, ElementsAre("frame 9"));
}

TEST(ReadBatchTest, ALengthBeyondTheEndIsRefusedBeforeTheHandlerSeesIt) {
  v1::WorkerMessage message;
  v1::Frame& frame = *message.add_reports()->mutable_frame();
  frame.set_transfer(3);
  frame.set_data(std::string(5000, 'x'));
  std::string bytes = message.SerializeAsString();
  for (const size_t cut : {size_t{1}, size_t{2}, size_t{10}, size_t{2000}}) {
    grpc::ByteBuffer batch = InSlicesOf(absl::string_view(bytes).substr(0, cut), 64);
    Collector collector;
    collector.expected_bytes = 8000;
    const absl::Status status = ReadBatch(batch, collector);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << cut;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not a batch")) << cut;
    EXPECT_EQ(collector.frames_seen, 0) << cut;
  }
}

TEST(ReadBatchTest, AFrameAboveTheLimitIsRefused) {
  v1::WorkerMessage message;
  v1::Frame& frame = *message.add_reports()->mutable_frame();
  frame.set_data(std::string(kMaxFrameBytes + 4, 'x'));
  grpc::ByteBuffer batch = InSlicesOf(message.SerializeAsString(), 100'000);
  Collector collector;
  const absl::Status status = ReadBatch(batch, collector);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 to 1048576 are allowed"));
  EXPECT_EQ(collector.frames_seen, 0);
}

TEST(ReadBatchTest, BytesThatWereTamperedWithGiveAStatusAndNothingWorse) {
  OutgoingQueue queue;
  queue.Push(Result(1));
  queue.PushFrames(std::make_shared<const EncodedBuffer>(Ramp(60)), 9);
  queue.Push(Result(2));
  const std::string good = BytesOf(queue.Next());
  CounterRandom random(/*seed=*/1, RandomPurpose::kTask);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    const uint64_t edits = 1 + random.Below(4);
    for (uint64_t edit = 0; edit < edits; ++edit) {
      switch (random.Below(3)) {
        case 0:
          bytes[random.Below(bytes.size())] = static_cast<char>(random.NextU32());
          break;
        case 1:
          bytes.resize(1 + random.Below(bytes.size()));
          break;
        default:
          bytes.insert(random.Below(bytes.size()), 1, static_cast<char>(random.NextU32()));
      }
    }
    grpc::ByteBuffer batch = InSlicesOf(bytes, 1 + random.Below(64));
    Collector collector;
    collector.expected_bytes = 240;
    refused += ReadBatch(batch, collector).ok() ? 0 : 1;
  }
  // Most edits hit the frame's data or a length.
  EXPECT_GT(refused, 10'000);
}

TEST(ReadBatchTest, AnEmptyMessageIsAnEmptyBatch) {
  const grpc::Slice nothing("", 0);
  grpc::ByteBuffer batch(&nothing, 1);
  Collector collector;
  EXPECT_EQ(ReadBatch(batch, collector), absl::OkStatus());
  EXPECT_TRUE(collector.events.empty());
}

}  // namespace
}  // namespace innerloop
