#include "tests/worker/fake_coordinator.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/rpc/channel_arguments.h"
#include "core/support/checksum.h"
#include "core/tensor/transfer.h"

namespace innerloop::worker {

void FakeStream::Send(const v1::Instruction& instruction) {
  v1::CoordinatorMessage message;
  *message.add_instructions() = instruction;
  absl::MutexLock lock(&write_mu_);
  if (stream_ != nullptr) {
    stream_->Write(message);
  }
}

void FakeStream::SendWelcome(double heartbeat_seconds) {
  v1::Instruction instruction;
  instruction.mutable_welcome()->set_worker_id("w1");
  instruction.mutable_welcome()->set_heartbeat_seconds(heartbeat_seconds);
  Send(instruction);
}

void FakeStream::SendJob(const v1::JobDescription& job) {
  v1::Instruction instruction;
  *instruction.mutable_job() = job;
  Send(instruction);
}

void FakeStream::SendParameters(const std::string& job_id, uint64_t version,
                                const std::vector<float>& values) {
  v1::Instruction begin;
  v1::ParametersBegin& parameters = *begin.mutable_parameters();
  parameters.set_job_id(job_id);
  parameters.set_version(version);
  parameters.set_bytes(values.size() * sizeof(float));
  parameters.set_transfer(version + 1000);
  Send(begin);
  const std::string bytes(reinterpret_cast<const char*>(values.data()), parameters.bytes());
  for (size_t offset = 0; offset < bytes.size(); offset += kMaxFrameBytes) {
    v1::Instruction instruction;
    v1::Frame& frame = *instruction.mutable_frame();
    frame.set_transfer(parameters.transfer());
    frame.set_offset(offset);
    frame.set_data(bytes.substr(offset, kMaxFrameBytes));
    frame.set_crc32c(Crc32c(frame.data()));
    Send(instruction);
  }
}

void FakeStream::SendShard(uint64_t work_id, const std::string& job_id, uint64_t version,
                           uint64_t first_task, uint64_t last_task) {
  v1::Instruction instruction;
  v1::WorkItem& work = *instruction.mutable_work();
  work.set_id(work_id);
  work.set_job_id(job_id);
  work.mutable_shard()->set_iteration(version);
  work.mutable_shard()->set_version(version);
  work.mutable_shard()->set_first_task(first_task);
  work.mutable_shard()->set_last_task(last_task);
  Send(instruction);
}

void FakeStream::SendDrop(uint64_t work_id) {
  v1::Instruction instruction;
  instruction.mutable_drop()->set_work_id(work_id);
  Send(instruction);
}

v1::Report FakeStream::AwaitReport() {
  absl::MutexLock lock(&mu_);
  const auto ready = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ended_ || !reports_.empty(); };
  mu_.Await(absl::Condition(&ready));
  if (reports_.empty()) {
    return {};
  }
  v1::Report report = std::move(reports_.front());
  reports_.pop_front();
  return report;
}

void FakeStream::AwaitHeartbeat() {
  absl::MutexLock lock(&mu_);
  const auto ready = [this, before = heartbeats_]()
                         ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ended_ || heartbeats_ > before; };
  mu_.Await(absl::Condition(&ready));
}

v1::JobNotice FakeStream::AwaitNotice() {
  absl::MutexLock lock(&mu_);
  const auto ready = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ended_ || !notices_.empty(); };
  mu_.Await(absl::Condition(&ready));
  if (notices_.empty()) {
    return v1::JobNotice();
  }
  v1::JobNotice notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

std::vector<float> FakeStream::AwaitBuffer(uint64_t transfer, uint64_t bytes) {
  std::string data;
  while (data.size() < bytes) {
    const v1::Report report = AwaitReport();
    if (!report.has_frame()) {
      ADD_FAILURE() << "no frame: " << report.ShortDebugString().substr(0, 1000);
      break;
    }
    EXPECT_EQ(report.frame().transfer(), transfer);
    EXPECT_EQ(report.frame().offset(), data.size());
    EXPECT_EQ(report.frame().crc32c(), Crc32c(report.frame().data()));
    data += report.frame().data();
  }
  EXPECT_EQ(data.size(), bytes);
  std::vector<float> values(data.size() / sizeof(float));
  std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
  return values;
}

void FakeStream::AwaitEnd() {
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&ended_));
}

void FakeStream::Finish() {
  absl::MutexLock lock(&mu_);
  if (!ended_) {
    context_->TryCancel();
  }
}

grpc::Status FakeStream::Serve(grpc::ServerContext* context, ReaderWriter* stream) {
  {
    absl::MutexLock lock(&mu_);
    context_ = context;
  }
  v1::WorkerMessage message;
  while (stream->Read(&message)) {
    absl::MutexLock lock(&mu_);
    for (v1::Report& report : *message.mutable_reports()) {
      if (report.has_heartbeat()) {
        heartbeats_ += 1;
      } else if (report.has_notice()) {
        notices_.push_back(std::move(*report.mutable_notice()));
      } else {
        reports_.push_back(std::move(report));
      }
    }
  }
  {
    absl::MutexLock lock(&write_mu_);
    stream_ = nullptr;
  }
  absl::MutexLock lock(&mu_);
  ended_ = true;
  return grpc::Status::OK;
}

void FakeCoordinator::Start() {
  grpc::ServerBuilder builder;
  SetServerArguments(builder);
  int port = 0;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
  port_ = port;
}

void FakeCoordinator::Stop() {
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
}

std::string FakeCoordinator::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::shared_ptr<FakeStream> FakeCoordinator::AwaitStream() {
  absl::MutexLock lock(&mu_);
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !streams_.empty(); };
  mu_.Await(absl::Condition(&ready));
  std::shared_ptr<FakeStream> stream = std::move(streams_.front());
  streams_.pop_front();
  return stream;
}

std::vector<uint64_t> FakeCoordinator::fetches() {
  absl::MutexLock lock(&mu_);
  return fetches_;
}

grpc::Status FakeCoordinator::Connect(grpc::ServerContext* context,
                                      FakeStream::ReaderWriter* stream) {
  auto fake = std::make_shared<FakeStream>();
  {
    absl::MutexLock lock(&fake->write_mu_);
    fake->stream_ = stream;
  }
  {
    absl::MutexLock lock(&mu_);
    streams_.push_back(fake);
  }
  return fake->Serve(context, stream);
}

grpc::Status FakeCoordinator::FetchFile(grpc::ServerContext* /*context*/,
                                        const v1::FetchFileRequest* request,
                                        grpc::ServerWriter<v1::FileChunk>* writer) {
  {
    absl::MutexLock lock(&mu_);
    fetches_.push_back(request->offset());
  }
  if (on_fetch) {
    return on_fetch(*request, writer);
  }
  const auto file = files.find(request->sha256());
  if (file == files.end()) {
    return {grpc::StatusCode::NOT_FOUND, "no such data set"};
  }
  v1::FileChunk chunk;
  for (size_t at = request->offset(); at < file->second.size(); at += piece_bytes) {
    chunk.set_offset(at);
    chunk.set_data(file->second.substr(at, piece_bytes));
    writer->Write(chunk);
  }
  return grpc::Status::OK;
}

}  // namespace innerloop::worker
