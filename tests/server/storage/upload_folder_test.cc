#include "server/storage/upload_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "server/jobs/job_loader.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UploadFolderTest : public ::testing::Test {
 protected:
  UploadFolderTest() {
    file_.set_sha256(Sha256::Hex(content_));
    file_.set_bytes(content_.size());
  }
  absl::Status Finish() {
    return models_.Finish(file_, [](const std::string&) { return absl::OkStatus(); });
  }

  TemporaryFolder folder_;
  UploadFolder models_{folder_ / "models", ".pt", "model", /*quota=*/1000};
  const std::string content_ = std::string(600, 'm');
  v1::StoredFile file_;
};

TEST_F(UploadFolderTest, AFileThatArrivesInPiecesIsThereWhenAllOfItIs) {
  ASSERT_TRUE(models_.Begin(file_).ok());
  ASSERT_TRUE(models_.Append(file_, 0, content_.substr(0, 200)).ok());
  EXPECT_EQ(models_.Begin(file_)->offset(), 200);
  EXPECT_FALSE(models_.Find(file_.sha256()).has_value());
  EXPECT_THAT(*models_.List(), IsEmpty());
  ASSERT_TRUE(models_.Append(file_, 200, content_.substr(200)).ok());
  ASSERT_TRUE(Finish().ok());
  EXPECT_TRUE(models_.Begin(file_)->complete());
  ASSERT_TRUE(models_.Find(file_.sha256()).has_value());
  EXPECT_EQ(models_.Find(file_.sha256())->bytes(), 600);
  EXPECT_THAT(*models_.List(), ElementsAre(file_.sha256()));
  EXPECT_EQ(*FileSystem::Real().Read(models_.PathOf(file_.sha256())), content_);
  ASSERT_TRUE(models_.Remove(file_.sha256()).ok());
  EXPECT_FALSE(models_.Find(file_.sha256()).has_value());
}

TEST_F(UploadFolderTest, WhatTheCheckRefusesIsNotKept) {
  ASSERT_TRUE(models_.Begin(file_).ok());
  ASSERT_TRUE(models_.Append(file_, 0, content_).ok());
  EXPECT_EQ(
      models_.Finish(file_, [](const std::string&) { return absl::InvalidArgumentError("ugly"); })
          .message(),
      "ugly");
  EXPECT_EQ(models_.Begin(file_)->offset(), 0);
}

TEST_F(UploadFolderTest, AnotherHashIsRefusedAndNotKept) {
  ASSERT_TRUE(models_.Begin(file_).ok());
  ASSERT_TRUE(models_.Append(file_, 0, std::string(600, 'x')).ok());
  const absl::Status status = Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the model arrived with SHA-256"));
  EXPECT_EQ(models_.Begin(file_)->offset(), 0);
}

TEST_F(UploadFolderTest, MoreThanTheQuotaIsRefused) {
  file_.set_bytes(1001);
  EXPECT_EQ(models_.Begin(file_).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(UploadFolderTest, AHashThatIsNoneNeverBecomesAPath) {
  file_.set_sha256("../../etc/passwd");
  EXPECT_EQ(models_.Begin(file_).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(models_.Find("../../etc/passwd").has_value());
}

TEST_F(UploadFolderTest, AJobWhoseModelIsNotHereIsRefused) {
  const std::unique_ptr<StateStore> state = *StateStore::Open(folder_.path());
  DataSetStore store(folder_.path(), /*quota=*/1000, *state);
  v1::JobSpec spec;
  spec.mutable_model()->mutable_torchscript()->set_sha256(file_.sha256());
  spec.mutable_model()->mutable_torchscript()->set_bytes(600);
  const absl::Status missing = CheckModel(spec, store);
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr(file_.sha256()));
  ASSERT_TRUE(store.models().Begin(file_).ok());
  ASSERT_TRUE(store.models().Append(file_, 0, content_).ok());
  ASSERT_TRUE(
      store.models().Finish(file_, [](const std::string&) { return absl::OkStatus(); }).ok());
  EXPECT_TRUE(CheckModel(spec, store).ok());
}

}  // namespace
}  // namespace innerloop::server
