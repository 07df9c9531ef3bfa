#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/checksum.h"
#include "tests/server/service/training_service_fixture.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelUploadTest : public TrainingServiceTest {
 protected:
  ModelUploadTest() {
    file_.set_sha256(Sha256::Hex(content_));
    file_.set_bytes(content_.size());
  }

  // Sends bytes [begin, end) in pieces of 100 from a stream of their own.
  grpc::Status Send(size_t begin, size_t end) {
    grpc::ClientContext context;
    v1::StoredFile stored;
    const auto writer = stub_->UploadModel(&context, &stored);
    v1::UploadModelRequest request;
    *request.mutable_file() = file_;
    for (size_t at = begin; at < end; at += 100) {
      request.mutable_chunk()->set_offset(at);
      request.mutable_chunk()->set_data(content_.substr(at, std::min<size_t>(100, end - at)));
      writer->Write(request);
      request.clear_file();
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    if (status.ok()) {
      EXPECT_EQ(stored.sha256(), file_.sha256());
    }
    return status;
  }
  v1::BeginUploadResponse Begin() {
    grpc::ClientContext context;
    v1::BeginUploadResponse begun;
    const grpc::Status status = stub_->BeginModelUpload(&context, file_, &begun);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return begun;
  }

  // Its bytes differ from piece to piece.
  const std::string content_ = [] {
    std::string content;
    for (int i = 0; i < 250; ++i) {
      content += std::to_string(1000 + i);
    }
    return content;
  }();
  v1::StoredFile file_;
};

TEST_F(ModelUploadTest, GoesOnWhereItBrokeOff) {
  EXPECT_EQ(Begin().offset(), 0);
  const grpc::Status broken = Send(0, 350);
  EXPECT_EQ(broken.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(broken.error_message(), HasSubstr("after 350 of 1000"));
  EXPECT_THAT(*data_sets_.models().List(), IsEmpty());
  EXPECT_EQ(Begin().offset(), 350);
  EXPECT_FALSE(Begin().complete());

  const grpc::Status gap = Send(500, 1000);
  EXPECT_EQ(gap.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Begin().offset(), 350);

  const grpc::Status rest = Send(350, 1000);
  ASSERT_TRUE(rest.ok()) << rest.error_message();
  EXPECT_TRUE(Begin().complete());
  EXPECT_THAT(*data_sets_.models().List(), ElementsAre(file_.sha256()));
  EXPECT_EQ(*FileSystem::Real().Read(data_sets_.models().PathOf(file_.sha256())), content_);
  // Once it is there, nothing more is wanted.
  EXPECT_TRUE(Send(0, 100).ok());
}

TEST_F(ModelUploadTest, OtherBytesThanAnnouncedAreThrownAway) {
  file_.set_sha256(Sha256::Hex("something else"));
  EXPECT_EQ(Send(0, 1000).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(Begin().offset(), 0);
  EXPECT_THAT(*data_sets_.models().List(), IsEmpty());
}

TEST_F(ModelUploadTest, NeedsAFirstMessage) {
  v1::StoredFile stored;
  const auto writer = stub_->UploadModel(&context_, &stored);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "the upload is empty");
}

}  // namespace
}  // namespace innerloop::server
