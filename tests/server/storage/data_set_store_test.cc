#include "server/storage/data_set_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DataSetStoreTest : public ::testing::Test {
 protected:
  DataSetStoreTest() : state_(*StateStore::Open(folder_.path())) {
    content_ = FileOf("digits", /*seed=*/1);
    Reopen(/*quota=*/1 << 20);
  }

  // A data set's bytes.
  std::string FileOf(const std::string& name, int seed) {
    DatasetContent content;
    content.name = name;
    content.example_shape = {3};
    for (int i = 0; i < 40; ++i) {
      content.labels.push_back(i / 10);
      for (int j = 0; j < 3; ++j) {
        content.features.push_back(static_cast<float>(seed * i + j));
      }
    }
    content.class_names = {"zero", "one", "two", "three"};
    const std::string path = folder_ / "made.safetensors";
    EXPECT_TRUE(WriteDataset(content, path).ok());
    return *FileSystem::Real().Read(path);
  }
  void Reopen(uint64_t quota) {
    store_ = std::make_unique<DataSetStore>(folder_.path(), quota, *state_);
  }
  static v1::BeginDataSetUploadRequest Request(const std::string& content,
                                               const std::string& name = "digits") {
    v1::BeginDataSetUploadRequest request;
    request.set_name(name);
    request.set_sha256(Sha256::Hex(content));
    request.set_bytes(content.size());
    return request;
  }
  absl::StatusOr<v1::DataSetDescription> Upload(const std::string& content,
                                                const std::string& name = "digits") {
    const auto request = Request(content, name);
    const auto begun = store_->Begin(request);
    if (!begun.ok()) {
      return begun.status();
    }
    if (begun->complete()) {
      return store_->Find(name);
    }
    const absl::Status appended = store_->Append(
        request, begun->offset(), absl::string_view(content).substr(begun->offset()));
    return appended.ok() ? store_->Finish(request) : appended;
  }
  bool HasPart(const std::string& content) {
    return std::filesystem::exists(folder_ /
                                   absl::StrCat("datasets/", Sha256::Hex(content), ".part"));
  }

  TemporaryFolder folder_;
  std::unique_ptr<StateStore> state_;
  std::string content_;
  std::unique_ptr<DataSetStore> store_;
};

TEST_F(DataSetStoreTest, IsVisibleOnlyWhenAllOfItIsThere) {
  const auto request = Request(content_);
  ASSERT_EQ(store_->Begin(request)->offset(), 0);
  ASSERT_TRUE(store_->Append(request, 0, absl::string_view(content_).substr(0, 100)).ok());
  EXPECT_THAT(*store_->List(), IsEmpty());
  const absl::Status early = store_->Finish(request).status();
  EXPECT_EQ(early.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(early.message()),
              HasSubstr(absl::StrCat("100 of ", content_.size(), " bytes")));
  ASSERT_TRUE(store_->Append(request, 100, absl::string_view(content_).substr(100)).ok());
  const auto described = store_->Finish(request);
  ASSERT_TRUE(described.ok()) << described.status();
  EXPECT_EQ(described->name(), "digits");
  EXPECT_EQ(described->sha256(), request.sha256());
  EXPECT_EQ(described->examples(), 40);
  EXPECT_EQ(described->classes(), 4);
  EXPECT_EQ(store_->Find(request.sha256())->name(), "digits");
  EXPECT_EQ(*FileSystem::Real().Read(store_->PathOf(request.sha256())), content_);
  EXPECT_FALSE(HasPart(content_));
}

TEST_F(DataSetStoreTest, AnUploadGoesOnAfterARestart) {
  const auto request = Request(content_);
  ASSERT_TRUE(store_->Begin(request).ok());
  ASSERT_TRUE(store_->Append(request, 0, absl::string_view(content_).substr(0, 1000)).ok());
  Reopen(/*quota=*/1 << 20);
  EXPECT_EQ(store_->Begin(request)->offset(), 1000);
  const absl::Status wrong = store_->Append(request, 0, "x");
  EXPECT_EQ(wrong.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("stands at 1000"));
  EXPECT_TRUE(Upload(content_).ok());
}

TEST_F(DataSetStoreTest, AnotherHashIsRefusedAndNothingStays) {
  auto request = Request(content_);
  request.set_sha256(std::string(64, 'a'));
  ASSERT_TRUE(store_->Begin(request).ok());
  ASSERT_TRUE(store_->Append(request, 0, content_).ok());
  const absl::Status status = store_->Finish(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Sha256::Hex(content_)));
  EXPECT_THAT(*FileSystem::Real().List(folder_ / "datasets"), IsEmpty());
  EXPECT_THAT(*store_->List(), IsEmpty());
  EXPECT_EQ(store_->Begin(request)->offset(), 0);
}

TEST_F(DataSetStoreTest, BytesThatAreNoDataSetAreRefused) {
  const std::string noise(5000, 'x');
  const absl::Status status = Upload(noise).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'digits' is no data set"));
  EXPECT_FALSE(HasPart(noise));
}

TEST_F(DataSetStoreTest, TheQuotaCountsAllDataSetsAndUploads) {
  Reopen(/*quota=*/content_.size() + 10);
  ASSERT_TRUE(Upload(content_).ok());
  const std::string other = FileOf("other", /*seed=*/2);
  absl::Status status = Upload(other, "other").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--data-set-quota"));
  // Two that fit alone but not together: the second is stopped while it arrives.
  ASSERT_TRUE(store_->Delete("digits").ok());
  const auto first = Request(content_);
  const auto second = Request(other, "other");
  ASSERT_TRUE(store_->Begin(first).ok());
  ASSERT_TRUE(store_->Begin(second).ok());
  ASSERT_TRUE(store_->Append(first, 0, content_).ok());
  status = store_->Append(second, 0, other);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DataSetStoreTest, MoreThanWasAnnouncedIsRefused) {
  auto request = Request(content_);
  request.set_bytes(10);
  ASSERT_TRUE(store_->Begin(request).ok());
  const absl::Status status = store_->Append(request, 0, content_);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("more than the 10 bytes"));
}

TEST_F(DataSetStoreTest, BytesThatAreThereAreNotSentAgain) {
  ASSERT_TRUE(Upload(content_).ok());
  const auto begun = store_->Begin(Request(content_, "copy"));
  ASSERT_TRUE(begun.ok());
  EXPECT_TRUE(begun->complete());
  EXPECT_EQ(store_->Find("copy")->sha256(), Sha256::Hex(content_));
  // The bytes go with the last name.
  ASSERT_TRUE(store_->Delete("digits").ok());
  EXPECT_TRUE(std::filesystem::exists(store_->PathOf(Sha256::Hex(content_))));
  ASSERT_TRUE(store_->Delete("copy").ok());
  EXPECT_FALSE(std::filesystem::exists(store_->PathOf(Sha256::Hex(content_))));
}

TEST_F(DataSetStoreTest, TheBytesOfANameThatStandsForOthersNowAreStillFoundByHash) {
  ASSERT_TRUE(Upload(content_).ok());
  const std::string other = FileOf("digits", /*seed=*/2);
  ASSERT_TRUE(Upload(other).ok());
  EXPECT_EQ(store_->Find("digits")->sha256(), Sha256::Hex(other));
  const auto before = store_->Find(Sha256::Hex(content_));
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->examples(), 40);
  ASSERT_TRUE(store_->Delete(Sha256::Hex(content_)).ok());
  EXPECT_FALSE(store_->Find(Sha256::Hex(content_)).ok());
}

TEST_F(DataSetStoreTest, ANameIsNeverTakenForTheHashOfAnother) {
  const std::string sha256 = Sha256::Hex(content_);
  const std::string other = FileOf("other", /*seed=*/2);
  const absl::Status refused = store_->Begin(Request(other, sha256)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("64 hexadecimal digits"));
  // An older coordinator took such names; its data set is found by its own hash alone.
  v1::DataSetDescription older;
  older.set_name(sha256);
  older.set_sha256(Sha256::Hex(other));
  ASSERT_TRUE(state_->PutDataSet(older).ok());
  ASSERT_TRUE(Upload(content_).ok());
  EXPECT_EQ(store_->Find(sha256)->name(), "digits");
  EXPECT_EQ(store_->Find(older.sha256())->name(), sha256);
  ASSERT_TRUE(store_->Delete(sha256).ok());
  EXPECT_FALSE(store_->Find("digits").ok());
  EXPECT_TRUE(store_->Find(older.sha256()).ok());
}

TEST_F(DataSetStoreTest, UnknownNamesAndBadRequestsSayWhatIsKnownOrRight) {
  ASSERT_TRUE(Upload(content_).ok());
  const absl::Status unknown = store_->Find("digit").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(unknown.message(), "unknown data set 'digit'; known: digits");
  for (const char* name : {"", "..", "a/b", "a b"}) {
    EXPECT_EQ(store_->Begin(Request(content_, name)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
  auto request = Request(content_);
  request.set_sha256("../../etc");
  EXPECT_THAT(std::string(store_->Begin(request).status().message()), HasSubstr("64 lower-case"));
}

}  // namespace
}  // namespace innerloop::server
