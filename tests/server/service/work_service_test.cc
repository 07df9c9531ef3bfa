#include "server/service/work_service.h"

#include <algorithm>
#include <deque>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/support/checksum.h"
#include "tests/server/coordinator/cluster.h"
#include "tests/server/service/fake_coordinator.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

class WorkServiceTest : public ::testing::Test {
 protected:
  WorkServiceTest() {
    WorkService::Options options;
    options.patience = absl::Milliseconds(200);
    service_ = std::make_unique<WorkService>(cluster_.coordinator(), *cluster_.data_sets,
                                             *cluster_.metrics, options);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
    stub_ = v1::Work::NewStub(channel_);
  }
  ~WorkServiceTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  Cluster cluster_;
  std::unique_ptr<WorkService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Work::Stub> stub_;
};

// A worker's end of a stream, blocking.
class Stream {
 public:
  explicit Stream(v1::Work::Stub& stub) : stream_(stub.Connect(&context_)) {}
  ~Stream() {
    context_.TryCancel();
    if (!finished_) {
      Finish();
    }
  }

  bool Write(const v1::Report& report) {
    v1::WorkerMessage message;
    *message.add_reports() = report;
    return stream_->Write(message);
  }
  void Hello(uint32_t slots = 1) {
    v1::Report report;
    report.mutable_hello()->set_protocol_version(1);
    report.mutable_hello()->set_name("tester");
    report.mutable_hello()->set_slots(slots);
    Write(report);
  }
  // The next instruction that is no frame; frames' bytes are put together.
  v1::Instruction Read() {
    while (true) {
      if (pending_.empty()) {
        v1::CoordinatorMessage message;
        if (!stream_->Read(&message)) {
          return v1::Instruction();
        }
        pending_.assign(message.instructions().begin(), message.instructions().end());
        continue;
      }
      v1::Instruction next = std::move(pending_.front());
      pending_.pop_front();
      if (!next.has_frame()) {
        return next;
      }
      EXPECT_EQ(next.frame().crc32c(), Crc32c(next.frame().data()));
      EXPECT_EQ(next.frame().offset(), frames[next.frame().transfer()].size());
      frames[next.frame().transfer()] += next.frame().data();
    }
  }
  v1::WorkItem ReadWork() {
    while (true) {
      v1::Instruction next = Read();
      if (next.has_work() || next.kind_case() == v1::Instruction::KIND_NOT_SET) {
        return next.work();
      }
    }
  }
  grpc::Status Finish() {
    finished_ = true;
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
    }
    return stream_->Finish();
  }
  // A result of `values` floats, in frames of `frame` bytes. Answers the initialisation with a
  // layout of that many.
  void Answer(const v1::WorkItem& item, size_t values, size_t frame, uint64_t transfer) {
    Begin(item, values, transfer, /*announced=*/false);
    SendFrames(0, values * sizeof(float), frame, transfer);
  }
  void Begin(const v1::WorkItem& item, size_t values, uint64_t transfer, bool announced) {
    v1::Report report;
    v1::ResultBegin& result = *report.mutable_result();
    result.set_work_id(item.id());
    result.set_bytes(values * sizeof(float));
    result.set_transfer(transfer);
    result.set_announced(announced);
    if (item.has_initialise()) {
      v1::TensorSpec& tensor = *result.mutable_layout()->add_tensors();
      tensor.set_name("weight");
      tensor.add_shape(static_cast<int64_t>(values));
    } else {
      result.mutable_metrics()->set_tasks(item.shard().last_task() - item.shard().first_task());
    }
    Write(report);
  }
  // Zeros at [from, to) of a transfer's bytes.
  void SendFrames(size_t from, size_t to, size_t frame, uint64_t transfer) {
    for (size_t at = from; at < to; at += frame) {
      v1::Report report;
      v1::Frame& piece = *report.mutable_frame();
      piece.set_transfer(transfer);
      piece.set_offset(at);
      piece.set_data(std::string(std::min(frame, to - at), '\0'));
      piece.set_crc32c(Crc32c(piece.data()));
      Write(report);
    }
  }

  std::map<uint64_t, std::string> frames;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  std::deque<v1::Instruction> pending_;
  bool finished_ = false;
};

TEST_F(WorkServiceTest, AWorkerGoesThroughAWholeJob) {
  const std::string id = cluster_.Submit(SmallJob(3)).id();
  Stream stream(*stub_);
  stream.Hello();
  EXPECT_TRUE(stream.Read().has_welcome());
  const v1::Instruction job = stream.Read();
  ASSERT_TRUE(job.has_job());
  EXPECT_EQ(job.job().job_id(), id);
  uint64_t transfer = 0;
  // 640 KB, in frames of 100 KB.
  constexpr size_t kValues = 160'000;
  for (int item = 0; item < 1 + 3 * 4; ++item) {
    const v1::WorkItem work = stream.ReadWork();
    ASSERT_NE(work.id(), 0) << "the stream ended";
    stream.Answer(work, kValues, 100'000, ++transfer);
  }
  cluster_.RunToEnd(id);
  EXPECT_EQ(cluster_.Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(cluster_.Get(id).parameters(), kValues);
  for (const auto& [number, bytes] : stream.frames) {
    EXPECT_EQ(bytes.size(), kValues * sizeof(float));
  }
  EXPECT_EQ(stream.frames.size(), 3);
}

TEST_F(WorkServiceTest, AStreamThatBreaksGivesItsWorkBack) {
  cluster_.Submit(SmallJob(3));
  auto first = std::make_unique<Stream>(*stub_);
  first->Hello();
  EXPECT_TRUE(first->ReadWork().has_initialise());
  Stream second(*stub_);
  second.Hello();
  first.reset();
  EXPECT_TRUE(second.ReadWork().has_initialise());
}

TEST_F(WorkServiceTest, TheFirstReportMustBeHelloAndMustComeSoon) {
  {
    Stream stream(*stub_);
    v1::Report report;
    report.mutable_heartbeat();
    stream.Write(report);
    const grpc::Status status = stream.Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("must be Hello"));
  }
  Stream silent(*stub_);
  const grpc::Status status = silent.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("no Hello"));
}

TEST_F(WorkServiceTest, AnotherProtocolVersionIsRefused) {
  Stream stream(*stub_);
  v1::Report report;
  report.mutable_hello()->set_protocol_version(7);
  stream.Write(report);
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(WorkServiceTest, AViolationClosesTheStreamAndSaysWhy) {
  struct Case {
    std::string says;
    std::function<void(const v1::WorkItem&, v1::WorkerMessage&)> make;
  };
  const auto begin = [](const v1::WorkItem& item, uint64_t bytes, v1::WorkerMessage& message) {
    v1::ResultBegin& result = *message.add_reports()->mutable_result();
    result.set_work_id(item.id());
    result.set_bytes(bytes);
    result.set_transfer(1);
    v1::TensorSpec& tensor = *result.mutable_layout()->add_tensors();
    tensor.set_name("weight");
    tensor.add_shape(16);
  };
  const auto frame = [](uint64_t offset, const std::string& data, v1::WorkerMessage& message) {
    v1::Frame& piece = *message.add_reports()->mutable_frame();
    piece.set_transfer(1);
    piece.set_offset(offset);
    piece.set_data(data);
    piece.set_crc32c(Crc32c(data));
  };
  const std::vector<Case> cases = {
      {"no result began", [&](const auto&, auto& m) { frame(0, "abcd", m); }},
      {"multiple of 4", [&](const auto& item, auto& m) { begin(item, 66, m); }},
      {"was not announced", [&](const auto& item, auto& m) { begin(item, (4 << 20) + 4, m); }},
      {"under way already",
       [&](const auto& item, auto& m) {
         begin(item, 64, m);
         begin(item, 64, m);
       }},
      {"second Hello",
       [&](const auto&, auto& m) { m.add_reports()->mutable_hello()->set_protocol_version(1); }},
      {"",
       [&](const auto& item, auto& m) {
         begin(item, 64, m);
         frame(4, "abcd", m);
       }},
      {"",
       [&](const auto& item, auto& m) {
         begin(item, 64, m);
         frame(0, std::string(68, 'x'), m);
       }},
      {"",
       [&](const auto& item, auto& m) {
         begin(item, 64, m);
         frame(0, std::string(64, 'x'), m);
         m.mutable_reports(1)->mutable_frame()->set_crc32c(1);
       }},
  };
  cluster_.Submit(SmallJob(3));
  int number = 0;
  for (const Case& test : cases) {
    Stream stream(*stub_);
    stream.Hello();
    const v1::WorkItem item = stream.ReadWork();
    v1::WorkerMessage message;
    test.make(item, message);
    for (const v1::Report& report : message.reports()) {
      stream.Write(report);
    }
    const grpc::Status status = stream.Finish();
    EXPECT_FALSE(status.ok()) << "case " << number;
    EXPECT_THAT(status.error_message(), HasSubstr(test.says)) << "case " << number;
    ++number;
    cluster_.coordinator().Cancel(cluster_.Jobs().back().id()).IgnoreError();
    cluster_.Submit(SmallJob(3));
  }
}

TEST_F(WorkServiceTest, AResultNobodyWantsTakesNoMemoryAndDoesNoHarm) {
  cluster_.Submit(SmallJob(1));
  Stream stream(*stub_);
  stream.Hello();
  const v1::WorkItem work = stream.ReadWork();
  v1::WorkItem made_up;
  made_up.set_id(work.id() + 1000);
  made_up.mutable_shard();
  stream.Answer(made_up, 1000, 1000, 77);
  stream.Answer(work, 16, 64, 78);
  EXPECT_TRUE(stream.ReadWork().has_shard());
}

TEST_F(WorkServiceTest, LargeResultsThatWereDroppedBeforeTheyWereAskedForDoNotAddUp) {
  cluster_.Submit(SmallJob(1));
  Stream stream(*stub_);
  stream.Hello();
  const v1::WorkItem work = stream.ReadWork();
  v1::WorkItem dropped;
  dropped.mutable_shard();
  // More than may be announced at a time.
  for (uint64_t i = 1; i <= 5000; ++i) {
    dropped.set_id(work.id() + i);
    stream.Begin(dropped, /*values=*/16, /*transfer=*/i, /*announced=*/true);
  }
  stream.Answer(work, /*values=*/16, /*frame=*/64, /*transfer=*/1);
  EXPECT_TRUE(stream.ReadWork().has_shard());
}

TEST_F(WorkServiceTest, FramesOfALargeResultThatNobodyWantsAnyMoreDoNotEndTheStream) {
  constexpr size_t kValues = 2'000'000;
  constexpr size_t kBytes = kValues * sizeof(float);
  constexpr size_t kFrame = 1'000'000;
  const std::string given_up = cluster_.Submit(SmallJob(3)).id();
  Stream stream(*stub_);
  stream.Hello();
  const v1::WorkItem work = stream.ReadWork();
  // Asked for, and cancelled when some of it has come.
  stream.Begin(work, kValues, /*transfer=*/1, /*announced=*/true);
  while (true) {
    const v1::Instruction next = stream.Read();
    ASSERT_NE(next.kind_case(), v1::Instruction::KIND_NOT_SET);
    if (next.has_pull()) {
      EXPECT_EQ(next.pull().work_id(), work.id());
      break;
    }
  }
  stream.SendFrames(0, 3 * kFrame, kFrame, 1);
  ASSERT_TRUE(cluster_.coordinator().Cancel(given_up).ok());
  const std::string next = cluster_.Submit(SmallJob(1)).id();
  const v1::WorkItem other = stream.ReadWork();
  EXPECT_EQ(other.job_id(), next);
  stream.SendFrames(3 * kFrame, kBytes, kFrame, 1);
  // Dropped before it comes: all of its frames are unwanted.
  ASSERT_TRUE(cluster_.coordinator().Cancel(next).ok());
  stream.Begin(other, kValues / 2, /*transfer=*/2, /*announced=*/false);
  stream.SendFrames(0, kBytes / 2, kFrame, 2);
  // The stream still serves, and a transfer's number is free again once its frames have come.
  const std::string last = cluster_.Submit(SmallJob(1)).id();
  stream.Answer(stream.ReadWork(), /*values=*/16, /*frame=*/64, /*transfer=*/1);
  const v1::WorkItem shard = stream.ReadWork();
  EXPECT_EQ(shard.job_id(), last);
  EXPECT_TRUE(shard.has_shard());
}

// Takes any worker, and counts how often it is told that it is alive. Thread-safe.
class ListeningCoordinator final : public FakeCoordinator {
 public:
  absl::StatusOr<std::string> Connect(const v1::Hello& /*hello*/,
                                      std::shared_ptr<WorkerLink> /*link*/) override {
    return std::string("w1");
  }
  void OnAlive(const std::string& /*worker_id*/) override {
    const absl::MutexLock lock(&mu_);
    ++alive_;
  }
  bool AwaitAlive(int times) {
    const absl::MutexLock lock(&mu_);
    const auto told = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return alive_ >= times; };
    return mu_.AwaitWithTimeout(absl::Condition(&told), absl::Seconds(30));
  }

 private:
  absl::Mutex mu_;
  int alive_ ABSL_GUARDED_BY(mu_) = 0;
};

TEST_F(WorkServiceTest, AWorkerIsKnownToLiveWhileItSendsByAClockThatNobodySets) {
  ListeningCoordinator coordinator;
  ManualClock clock;
  WorkService service(coordinator, *cluster_.data_sets, *cluster_.metrics,
                      {.patience = absl::Seconds(10), .clock = clock});
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::Work::NewStub(server->InProcessChannel(grpc::ChannelArguments()));
  {
    Stream stream(*stub);
    stream.Hello();
    v1::WorkItem shard;
    shard.mutable_shard();
    stream.Begin(shard, /*values=*/16, /*transfer=*/1, /*announced=*/true);
    for (int second = 0; second < 4; ++second) {
      stream.SendFrames(static_cast<size_t>(second) * 16, static_cast<size_t>(second + 1) * 16,
                        /*frame=*/16, /*transfer=*/1);
      ASSERT_TRUE(coordinator.AwaitAlive(second + 1)) << "in second " << second;
      clock.Advance(absl::Seconds(1.5));
    }
  }
  server->Shutdown(std::chrono::system_clock::now());
}

TEST_F(WorkServiceTest, AStoppingCoordinatorSaysGoodbyeAndEndsTheStream) {
  Stream stream(*stub_);
  stream.Hello();
  EXPECT_TRUE(stream.Read().has_welcome());
  cluster_.coordinator().Stop(absl::Seconds(1));
  EXPECT_TRUE(stream.Read().has_goodbye());
  EXPECT_TRUE(stream.Finish().ok());
}

}  // namespace
}  // namespace innerloop::server
