// The service for operators, on a whole coordinator.
#include "server/service/upkeep.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/archive/backup.h"
#include "core/support/version.h"
#include "innerloop/v1/training.grpc.pb.h"
#include "server/server.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

class UpkeepTest : public ::testing::Test {
 protected:
  UpkeepTest() { Start("state"); }

  void Start(const std::string& name) {
    server_.reset();
    Options options;
    options.state_dir = folder_ / name;
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "";
    auto server = Server::Create(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    upkeep_ = v1::Upkeep::NewStub(server_->InProcessChannel());
    training_ = v1::Training::NewStub(server_->InProcessChannel());
  }
  std::string Submit() {
    grpc::ClientContext context;
    v1::SubmitJobRequest request;
    *request.mutable_spec() = SmallJob(10);
    v1::Job job;
    const grpc::Status status = training_->SubmitJob(&context, request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job.id();
  }
  grpc::Status Cancel(const std::string& id) {
    grpc::ClientContext context;
    v1::CancelJobRequest request;
    request.set_id(id);
    v1::Job job;
    return training_->CancelJob(&context, request, &job);
  }
  grpc::Status ReadLog(const v1::ReadLogRequest& request, std::vector<v1::LogEntry>* entries) {
    grpc::ClientContext context;
    const auto reader = upkeep_->ReadLog(&context, request);
    v1::LogEntry entry;
    while (reader->Read(&entry)) {
      entries->push_back(entry);
    }
    return reader->Finish();
  }

  TemporaryFolder folder_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::Upkeep::Stub> upkeep_;
  std::unique_ptr<v1::Training::Stub> training_;
};

TEST_F(UpkeepTest, TheCoordinatorSaysWhatItIs) {
  grpc::ClientContext context;
  v1::ServerInfo info;
  ASSERT_TRUE(upkeep_->GetServerInfo(&context, v1::GetServerInfoRequest(), &info).ok());
  EXPECT_EQ(info.api_version(), kApiVersion);
  EXPECT_EQ(info.version(), kVersion);
  EXPECT_GT(info.started().seconds(), 1'600'000'000);
  EXPECT_FALSE(info.tls());
  EXPECT_EQ(info.role(), "user");
  EXPECT_GT(info.disk_bytes(), info.disk_bytes_free());
}

TEST_F(UpkeepTest, ALogIsReadFromAnyEntryOnAndOfUnknownJobsNotAtAll) {
  const std::string id = Submit();
  ASSERT_TRUE(Cancel(id).ok());
  std::vector<v1::LogEntry> entries;
  v1::ReadLogRequest request;
  request.set_job_id(id);
  ASSERT_TRUE(ReadLog(request, &entries).ok());
  ASSERT_EQ(entries.size(), 2);
  EXPECT_THAT(entries[0].message(), HasSubstr("submitted"));
  EXPECT_THAT(entries[1].message(), HasSubstr("cancelled"));
  EXPECT_EQ(entries[1].job_id(), id);
  request.set_after(entries[0].sequence());
  std::vector<v1::LogEntry> rest;
  ASSERT_TRUE(ReadLog(request, &rest).ok());
  ASSERT_EQ(rest.size(), 1);
  EXPECT_EQ(rest[0].sequence(), entries[1].sequence());
  request.set_after(uint64_t{1} << 63);
  const grpc::Status impossible = ReadLog(request, &rest);
  EXPECT_EQ(impossible.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(impossible.error_message(), HasSubstr("after is 9223372036854775808; at most"));

  request.set_after(0);
  request.set_job_id("nosuchjob");
  EXPECT_EQ(ReadLog(request, &rest).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReadLog(v1::ReadLogRequest(), &rest).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(UpkeepTest, WhoFollowsALogHearsOfTheJobsEnd) {
  const std::string id = Submit();
  grpc::ClientContext context;
  v1::ReadLogRequest request;
  request.set_job_id(id);
  request.set_follow(true);
  const auto reader = upkeep_->ReadLog(&context, request);
  v1::LogEntry entry;
  ASSERT_TRUE(reader->Read(&entry));
  EXPECT_THAT(entry.message(), HasSubstr("submitted"));
  std::thread cancel([&] { EXPECT_TRUE(Cancel(id).ok()); });
  ASSERT_TRUE(reader->Read(&entry));
  EXPECT_THAT(entry.message(), HasSubstr("cancelled"));
  EXPECT_FALSE(reader->Read(&entry));
  EXPECT_TRUE(reader->Finish().ok());
  cancel.join();
}

TEST_F(UpkeepTest, ABackupRestoredElsewhereHasTheJobsAndTheirLogs) {
  const std::string waiting = Submit();
  const std::string ended = Submit();
  ASSERT_TRUE(Cancel(ended).ok());
  WriteFile(folder_ / "state/models/unfinished.part", "x");
  {
    grpc::ClientContext context;
    const auto reader = upkeep_->Backup(&context, v1::BackupRequest());
    std::ofstream file(folder_ / "backup.tar", std::ios::binary);
    v1::FileChunk chunk;
    uint64_t offset = 0;
    while (reader->Read(&chunk)) {
      EXPECT_EQ(chunk.offset(), offset);
      EXPECT_LE(chunk.data().size(), size_t{1} << 20);
      offset += chunk.data().size();
      file << chunk.data();
    }
    const grpc::Status status = reader->Finish();
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "state/snapshots")) << "it is cleared away";
  ASSERT_TRUE(Cancel(waiting).ok());

  const auto restored = RestoreBackup(folder_ / "backup.tar", folder_ / "other", nullptr);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other/models/unfinished.part"));
  Start("other");
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_id(waiting);
  v1::Job job;
  ASSERT_TRUE(training_->GetJob(&context, request, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED) << "as it was then";
  std::vector<v1::LogEntry> entries;
  v1::ReadLogRequest log;
  log.set_job_id(ended);
  ASSERT_TRUE(ReadLog(log, &entries).ok());
  EXPECT_EQ(entries.size(), 2);
}

TEST_F(UpkeepTest, GarbageIsCollectedOnRequest) {
  const std::string id = Submit();
  ASSERT_TRUE(Cancel(id).ok());
  grpc::ClientContext context;
  v1::CollectGarbageRequest request;
  request.set_jobs_older_than_seconds(0);
  v1::CollectGarbageResponse response;
  ASSERT_TRUE(upkeep_->CollectGarbage(&context, request, &response).ok());
  ASSERT_EQ(response.items_size(), 1);
  EXPECT_EQ(response.items(0).name(), id);
}

}  // namespace
}  // namespace innerloop::server
