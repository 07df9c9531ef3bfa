#include "worker/data_set_cache.h"

#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/rpc/status.h"
#include "core/support/checksum.h"
#include "tests/core/support/temporary_folder.h"
#include "tests/worker/fake_coordinator.h"
#include "worker/metrics.h"

namespace innerloop::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DataSetCacheTest : public ::testing::Test {
 protected:
  DataSetCacheTest() {
    description_ = Offer("digits", /*examples=*/40);
    file_ = coordinator_.files[description_.sha256()];
    cache_ = NewCache();
  }

  // The coordinator has a data set of two classes.
  v1::DataSetDescription Offer(const std::string& name, int64_t examples) {
    DatasetContent content;
    content.name = name;
    content.example_shape = {8, 8, 1};
    content.images.assign(static_cast<size_t>(examples * 64), 7);
    for (int64_t i = 0; i < examples; ++i) {
      content.labels.push_back(2 * i / examples);
    }
    content.class_names = {"zero", "one"};
    const std::string source = folder_ / "source";
    EXPECT_EQ(WriteDataset(content, source), absl::OkStatus());
    const std::string file = ReadFile(source);
    std::filesystem::remove(source);
    v1::DataSetDescription description;
    description.set_name(name);
    description.set_bytes(file.size());
    description.set_sha256(Sha256::Hex(file));
    coordinator_.files[description.sha256()] = file;
    return description;
  }
  std::unique_ptr<DataSetCache> NewCache(uint64_t most_bytes = 1 << 20) {
    return *DataSetCache::Create(folder_.path(), most_bytes, *metrics_);
  }
  std::string Path(const char* extension) const {
    return absl::StrCat(folder_.path(), "/", description_.sha256(), extension);
  }
  absl::StatusOr<std::shared_ptr<const Dataset>> Get() {
    return cache_->Get(description_, source_);
  }

  const TemporaryFolder folder_;
  std::string file_;
  v1::DataSetDescription description_;
  FakeCoordinator coordinator_;
  std::unique_ptr<Metrics> metrics_ = *Metrics::Create("", {"0", "0", "f"});
  FileSource source_{v1::Work::NewStub(
      grpc::CreateChannel(coordinator_.address(), grpc::InsecureChannelCredentials()))};
  std::unique_ptr<DataSetCache> cache_;
};

TEST_F(DataSetCacheTest, FetchesADataSetOnceForEveryoneWhoAsks) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      const auto data_set = Get();
      ASSERT_TRUE(data_set.ok()) << data_set.status();
      EXPECT_EQ((*data_set)->examples(), 40);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  // Another process with the same folder.
  cache_ = NewCache();
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0));
  EXPECT_EQ(ReadFile(Path(".safetensors")), file_);
  EXPECT_FALSE(std::filesystem::exists(Path(".part")));
}

TEST_F(DataSetCacheTest, GoesOnWhereABrokenFetchEnded) {
  coordinator_.on_fetch = [this](const v1::FetchFileRequest& request,
                                 grpc::ServerWriter<v1::FileChunk>* writer) {
    const bool first = request.offset() == 0;
    v1::FileChunk chunk;
    chunk.set_offset(request.offset());
    chunk.set_data(first ? file_.substr(0, 1500) : file_.substr(1500));
    writer->Write(chunk);
    return first ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the connection broke")
                 : grpc::Status::OK;
  };
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0, 1500));
  EXPECT_EQ(ReadFile(Path(".safetensors")), file_);
}

TEST_F(DataSetCacheTest, WhatAnEarlierFetchLeftIsNotFetchedAgain) {
  WriteFile(Path(".part"), file_.substr(0, 1500));
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(1500));
  EXPECT_EQ(ReadFile(Path(".safetensors")), file_);
}

TEST_F(DataSetCacheTest, ACoordinatorWithoutAThreadForAFetchIsAskedAgain) {
  coordinator_.on_fetch = [this](const v1::FetchFileRequest&,
                                 grpc::ServerWriter<v1::FileChunk>* writer) {
    if (coordinator_.fetches().size() == 1) {
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "");
    }
    v1::FileChunk chunk;
    chunk.set_data(file_);
    writer->Write(chunk);
    return grpc::Status::OK;
  };
  const auto data_set = Get();
  EXPECT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0, 0));
}

TEST_F(DataSetCacheTest, NothingIsAskedForAgainWhenTheSessionIsOver) {
  coordinator_.on_fetch = [](const v1::FetchFileRequest&, grpc::ServerWriter<v1::FileChunk>*) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no thread");
  };
  source_.closed.Notify();
  EXPECT_EQ(Get().status(), absl::UnavailableError("cannot fetch data set 'digits': no thread"));
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0));
}

TEST_F(DataSetCacheTest, WhatTheCoordinatorRefusesIsNoLimitOfThisMachine) {
  for (const absl::Status& refusal :
       {absl::ResourceExhaustedError("not now"), absl::PermissionDeniedError("not now")}) {
    coordinator_.on_fetch = [&](const v1::FetchFileRequest&, grpc::ServerWriter<v1::FileChunk>*) {
      return ToGrpc(refusal);
    };
    EXPECT_EQ(Get().status(), absl::UnavailableError("cannot fetch data set 'digits': not now"));
  }
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0, 0));
}

TEST_F(DataSetCacheTest, TellsHowMuchIsThereAlsoOfWhatAnotherWorkerOfTheFolderFetches) {
  const auto other = NewCache();
  std::thread waiting;
  const auto await = [this](const DataSetCache& cache) {
    while (cache.Fetches().empty() || cache.Fetches()[0].bytes() != 1500) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    const v1::FileFetch fetch = cache.Fetches()[0];
    EXPECT_EQ(fetch.sha256(), description_.sha256());
    EXPECT_EQ(fetch.total_bytes(), file_.size());
  };
  coordinator_.on_fetch = [&](const v1::FetchFileRequest&,
                              grpc::ServerWriter<v1::FileChunk>* writer) {
    v1::FileChunk chunk;
    chunk.set_data(file_.substr(0, 1500));
    writer->Write(chunk);
    await(*cache_);
    waiting = std::thread([&] { EXPECT_TRUE(other->Get(description_, source_).ok()); });
    await(*other);
    chunk.set_offset(1500);
    chunk.set_data(file_.substr(1500));
    writer->Write(chunk);
    return grpc::Status::OK;
  };
  EXPECT_THAT(cache_->Fetches(), IsEmpty());
  EXPECT_TRUE(Get().ok());
  waiting.join();
  EXPECT_THAT(cache_->Fetches(), IsEmpty());
  EXPECT_THAT(other->Fetches(), IsEmpty());
}

TEST_F(DataSetCacheTest, ADamagedPartIsFetchedAgainFromTheBeginning) {
  WriteFile(Path(".part"), std::string(1000, 'x'));
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(1000, 0));
}

TEST_F(DataSetCacheTest, APartLongerThanTheDataSetIsFetchedAgain) {
  WriteFile(Path(".part"), std::string(file_.size() + 1, 'x'));
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0));
}

TEST_F(DataSetCacheTest, ADamagedFileInTheCacheIsFetchedAgain) {
  std::string damaged = file_;
  damaged[damaged.size() / 2] ^= 1;
  WriteFile(Path(".safetensors"), damaged);
  EXPECT_TRUE(Get().ok());
  EXPECT_THAT(coordinator_.fetches(), ElementsAre(0));
  EXPECT_EQ(ReadFile(Path(".safetensors")), file_);
}

TEST_F(DataSetCacheTest, WhatArrivesDamagedIsRefusedAndNotKept) {
  coordinator_.files[description_.sha256()][100] ^= 1;
  const auto data_set = Get();
  EXPECT_EQ(data_set.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(data_set.status().message()), HasSubstr("'digits' arrived with SHA-256"));
  EXPECT_FALSE(std::filesystem::exists(Path(".safetensors")));
  EXPECT_FALSE(std::filesystem::exists(Path(".part")));
}

TEST_F(DataSetCacheTest, AFileThatIsLongerOrShorterThanSaidIsRefused) {
  coordinator_.files[description_.sha256()] += "more";
  EXPECT_THAT(std::string(Get().status().message()), HasSubstr("is next"));
  std::filesystem::remove(Path(".part"));
  coordinator_.files[description_.sha256()].resize(1234);
  EXPECT_THAT(std::string(Get().status().message()), HasSubstr("it ends after 1234 of"));
}

TEST_F(DataSetCacheTest, AModelIsFetchedByItsHashAndKept) {
  v1::TorchScriptModel model;
  const std::string content(5000, 'm');
  model.set_sha256(Sha256::Hex(content));
  model.set_bytes(content.size());
  coordinator_.files[model.sha256()] = content;
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<std::string> path = cache_->GetModel(model, source_);
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_EQ(*path, absl::StrCat(folder_.path(), "/", model.sha256(), ".pt"));
    EXPECT_EQ(ReadFile(*path), content);
  }
  EXPECT_EQ(coordinator_.fetches().size(), 1);
  // It makes room as data sets do.
  cache_ = NewCache(/*most_bytes=*/description_.bytes());
  ASSERT_TRUE(Get().ok());
  EXPECT_FALSE(std::filesystem::exists(absl::StrCat(folder_.path(), "/", model.sha256(), ".pt")));
  coordinator_.files[model.sha256()][7] ^= 1;
  cache_ = NewCache();
  const absl::Status damaged = cache_->GetModel(model, source_).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), HasSubstr("model "));
}

TEST_F(DataSetCacheTest, AHashThatIsNoneNeverBecomesAPath) {
  description_.set_sha256("../../etc/passwd");
  EXPECT_EQ(Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(coordinator_.fetches().empty());
}

TEST_F(DataSetCacheTest, MoreThanTheDiskHoldsIsRefusedBeforeItIsFetched) {
  description_.set_bytes(uint64_t{1} << 60);
  cache_ = NewCache(/*most_bytes=*/UINT64_MAX);
  const auto data_set = Get();
  EXPECT_EQ(data_set.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(data_set.status().message()), HasSubstr("free"));
  EXPECT_TRUE(coordinator_.fetches().empty());
}

TEST_F(DataSetCacheTest, DataSetsInUseStayAndThoseUnusedForLongestMakeRoom) {
  const v1::DataSetDescription second = Offer("second", 40);
  const v1::DataSetDescription third = Offer("third", 40);
  const uint64_t one = description_.bytes();
  cache_ = NewCache(/*most_bytes=*/2 * one + one / 2);
  const auto path = [&](const v1::DataSetDescription& description) {
    return absl::StrCat(folder_.path(), "/", description.sha256(), ".safetensors");
  };
  auto first_open = Get();
  auto second_open = cache_->Get(second, source_);
  ASSERT_TRUE(second_open.ok()) << second_open.status();
  const absl::Status refused = cache_->Get(third, source_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no room for data set 'third' of "));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-cache"));
  EXPECT_EQ(coordinator_.fetches().size(), 2);

  second_open = absl::CancelledError("closed");
  EXPECT_TRUE(cache_->Get(third, source_).ok());
  EXPECT_FALSE(std::filesystem::exists(path(second)));
  // The first one was fetched before the third, but is used again after it.
  first_open = Get();
  first_open = absl::CancelledError("closed");
  EXPECT_TRUE(cache_->Get(second, source_).ok());
  EXPECT_TRUE(std::filesystem::exists(path(description_)));
  EXPECT_FALSE(std::filesystem::exists(path(third)));
  EXPECT_EQ(coordinator_.fetches().size(), 4);
}

TEST_F(DataSetCacheTest, ADataSetThatIsLargerThanTheCacheIsRefusedBeforeItIsFetched) {
  cache_ = NewCache(/*most_bytes=*/1000);
  EXPECT_EQ(Get().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(coordinator_.fetches().empty());
}

TEST_F(DataSetCacheTest, AStoppingWorkerFetchesNothing) {
  cache_->CancelFetches();
  EXPECT_EQ(Get().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace innerloop::worker
