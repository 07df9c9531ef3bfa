// Files that travel from the coordinator to workers.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "server/service/work_service.h"
#include "tests/server/coordinator/cluster.h"
#include "worker/data_set_cache.h"
#include "worker/metrics.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

// A data set of some megabytes in the coordinator's store.
class FileFetchTest : public ::testing::Test {
 protected:
  FileFetchTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Work::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
    DatasetContent content;
    content.name = "digits";
    content.example_shape = {100, 100, 1};
    constexpr int64_t kExamples = 300;
    for (int64_t i = 0; i < kExamples * 100 * 100; ++i) {
      content.images.push_back(static_cast<uint8_t>(i * i / 7));
    }
    content.labels.assign(kExamples, 0);
    content.class_names = {"zero"};
    const std::string source = cluster_.folder / "source";
    EXPECT_EQ(WriteDataset(content, source), absl::OkStatus());
    file_ = *FileSystem::Real().Read(source, uint64_t{1} << 30);
    v1::BeginDataSetUploadRequest upload;
    upload.set_name("digits");
    upload.set_sha256(Sha256::Hex(file_));
    upload.set_bytes(file_.size());
    EXPECT_TRUE(cluster_.data_sets->Begin(upload).ok());
    EXPECT_EQ(cluster_.data_sets->Append(upload, 0, file_), absl::OkStatus());
    description_ = *cluster_.data_sets->Finish(upload);
  }
  // What the server answers, frame by frame.
  grpc::Status Fetch(const std::string& sha256, uint64_t offset, std::string* bytes) {
    grpc::ClientContext context;
    v1::FetchFileRequest request;
    request.set_sha256(sha256);
    request.set_offset(offset);
    const auto reader = stub_->FetchFile(&context, request);
    for (v1::FileChunk chunk; reader->Read(&chunk);) {
      EXPECT_EQ(chunk.offset(), offset + bytes->size());
      EXPECT_LE(chunk.data().size(), size_t{1} << 20);
      *bytes += chunk.data();
    }
    return reader->Finish();
  }

  Cluster cluster_;
  WorkService service_{cluster_.coordinator(), *cluster_.data_sets, *cluster_.metrics,
                       WorkService::Options()};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Work::Stub> stub_;
  std::string file_;
  v1::DataSetDescription description_;
};

TEST_F(FileFetchTest, AllOfItOrTheRestOfIt) {
  ASSERT_GT(file_.size(), 2U << 20);
  std::string bytes;
  EXPECT_TRUE(Fetch(description_.sha256(), 0, &bytes).ok());
  EXPECT_EQ(bytes, file_);
  bytes.clear();
  EXPECT_TRUE(Fetch(description_.sha256(), 1'500'000, &bytes).ok());
  EXPECT_EQ(bytes, file_.substr(1'500'000));
  bytes.clear();
  EXPECT_TRUE(Fetch(description_.sha256(), file_.size(), &bytes).ok());
  EXPECT_EQ(bytes, "");
}

TEST_F(FileFetchTest, WhatIsNotThereIsRefused) {
  std::string bytes;
  EXPECT_EQ(Fetch(std::string(64, 'a'), 0, &bytes).error_code(), grpc::StatusCode::NOT_FOUND);
  const grpc::Status beyond = Fetch(description_.sha256(), file_.size() + 1, &bytes);
  EXPECT_EQ(beyond.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(beyond.error_message(), HasSubstr(absl::StrCat("has ", file_.size(), " bytes")));
  EXPECT_EQ(bytes, "");
}

// The worker's end and the coordinator's together.
TEST_F(FileFetchTest, ItTravelsIntoAWorkersCacheAndGoesOnWhereItBrokeOff) {
  const std::string folder = cluster_.folder / "cache";
  std::filesystem::create_directories(folder);
  const std::string stem = absl::StrCat(folder, "/", description_.sha256());
  std::ofstream(stem + ".part", std::ios::binary) << file_.substr(0, 1'234'567);
  const auto metrics = worker::Metrics::Create("", {});
  const auto cache = worker::DataSetCache::Create(folder, uint64_t{1} << 30, **metrics);
  const worker::FileSource source(
      v1::Work::NewStub(server_->InProcessChannel(grpc::ChannelArguments())));
  const auto data_set = (*cache)->Get(description_, source);
  ASSERT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_EQ((*data_set)->examples(), 300);
  EXPECT_EQ(*FileSystem::Real().Read(stem + ".safetensors", uint64_t{1} << 30), file_);
}

}  // namespace
}  // namespace innerloop::server
