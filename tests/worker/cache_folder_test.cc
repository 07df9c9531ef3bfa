#include "worker/cache_folder.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/support/temporary_folder.h"

namespace innerloop::worker {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr uint64_t kGiB = uint64_t{1} << 30;

// Files of any size, which take no space, and were used whenever the test says.
class CacheFolderTest : public ::testing::Test {
 protected:
  static std::string Hash(char letter) { return std::string(64, letter); }
  void Put(const std::string& file, uint64_t bytes, int minutes_ago) {
    std::ofstream(file, std::ios::binary).close();
    fs::resize_file(file, bytes);
    fs::last_write_time(file, now_ - std::chrono::minutes(minutes_ago));
  }
  bool Has(char letter) { return fs::exists(folder_.DataSet(Hash(letter))); }

  const TemporaryFolder path_;
  const CacheFolder folder_{path_.path(), 20 * kGiB};
  const fs::file_time_type now_ = fs::file_time_type::clock::now();
};

TEST_F(CacheFolderTest, WhatWasUnusedForLongestGoesUntilTheRestFits) {
  Put(folder_.DataSet(Hash('a')), 6 * kGiB, 10);
  Put(folder_.DataSet(Hash('b')), 6 * kGiB, 30);
  Put(folder_.DataSet(Hash('c')), 6 * kGiB, 20);
  EXPECT_EQ(folder_.Bytes(), 18 * kGiB);
  // 2 GiB are free.
  EXPECT_EQ(folder_.MakeRoom({{Hash('d'), 2 * kGiB}}), absl::OkStatus());
  EXPECT_TRUE(Has('b'));
  EXPECT_EQ(folder_.MakeRoom({{Hash('d'), 9 * kGiB}}), absl::OkStatus());
  EXPECT_TRUE(Has('a'));
  EXPECT_FALSE(Has('b'));
  EXPECT_FALSE(Has('c'));
  EXPECT_EQ(folder_.Bytes(), 6 * kGiB);
}

TEST_F(CacheFolderTest, AUseIsRemembered) {
  Put(folder_.DataSet(Hash('a')), 10 * kGiB, 30);
  Put(folder_.DataSet(Hash('b')), 10 * kGiB, 20);
  folder_.Touch(folder_.DataSet(Hash('a')));
  EXPECT_EQ(folder_.MakeRoom({{Hash('c'), 1}}), absl::OkStatus());
  EXPECT_TRUE(Has('a'));
  EXPECT_FALSE(Has('b'));
}

TEST_F(CacheFolderTest, WhatIsNeededStaysHoweverOldItIs) {
  Put(folder_.DataSet(Hash('a')), 8 * kGiB, 30);
  Put(folder_.DataSet(Hash('b')), 8 * kGiB, 20);
  EXPECT_EQ(folder_.MakeRoom({{Hash('a'), 8 * kGiB}, {Hash('c'), 8 * kGiB}}), absl::OkStatus());
  EXPECT_TRUE(Has('a'));
  EXPECT_FALSE(Has('b'));
}

TEST_F(CacheFolderTest, WhatDoesNotFitBesideWhatIsNeededIsRefusedAndNothingGoes) {
  Put(folder_.DataSet(Hash('a')), 12 * kGiB, 30);
  Put(folder_.DataSet(Hash('b')), 1 * kGiB, 20);
  const absl::Status status = folder_.MakeRoom({{Hash('a'), 12 * kGiB}, {Hash('c'), 9 * kGiB}});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 21474836480 (--max-cache)"));
  EXPECT_TRUE(Has('a'));
  EXPECT_TRUE(Has('b'));
}

TEST_F(CacheFolderTest, PartsOfBrokenFetchesGoToo) {
  Put(folder_.Part(Hash('a')), 15 * kGiB, 30);
  Put(folder_.DataSet(Hash('b')), 4 * kGiB, 40);
  // A part that is needed is not counted beside what it will grow to.
  Put(folder_.Part(Hash('c')), 1 * kGiB, 50);
  EXPECT_EQ(folder_.MakeRoom({{Hash('c'), 18 * kGiB}}), absl::OkStatus());
  EXPECT_FALSE(fs::exists(folder_.Part(Hash('a'))));
  EXPECT_FALSE(Has('b'));
  EXPECT_TRUE(fs::exists(folder_.Part(Hash('c'))));
}

TEST_F(CacheFolderTest, WhatAnotherWorkerReadsOrFetchesStays) {
  Put(folder_.DataSet(Hash('a')), 10 * kGiB, 30);
  Put(folder_.DataSet(Hash('b')), 10 * kGiB, 20);
  {
    const auto lock = FileLock::Take(folder_.Lock(Hash('a')));
    ASSERT_TRUE(lock.ok()) << lock.status();
    EXPECT_EQ(FileLock::Try(folder_.Lock(Hash('a'))).status().code(),
              absl::StatusCode::kUnavailable);
    EXPECT_EQ(folder_.MakeRoom({{Hash('c'), 1}}), absl::OkStatus());
    EXPECT_TRUE(Has('a'));
    EXPECT_FALSE(Has('b'));
  }
  EXPECT_EQ(folder_.MakeRoom({{Hash('c'), 15 * kGiB}}), absl::OkStatus());
  EXPECT_FALSE(Has('a'));
}

TEST_F(CacheFolderTest, WhatAnotherWorkerReadsMayExceedTheLimitUntilTheNextTime) {
  Put(folder_.DataSet(Hash('a')), 15 * kGiB, 30);
  {
    const auto lock = FileLock::Take(folder_.Lock(Hash('a')));
    ASSERT_TRUE(lock.ok()) << lock.status();
    EXPECT_EQ(folder_.MakeRoom({{Hash('b'), 15 * kGiB}}), absl::OkStatus());
    EXPECT_TRUE(Has('a'));
    Put(folder_.DataSet(Hash('b')), 15 * kGiB, 0);
  }
  EXPECT_EQ(folder_.MakeRoom({{Hash('b'), 15 * kGiB}, {Hash('c'), 1}}), absl::OkStatus());
  EXPECT_FALSE(Has('a'));
  EXPECT_TRUE(Has('b'));
}

TEST_F(CacheFolderTest, OtherFilesAreLeftAlone) {
  Put(path_ / "notes.txt", 30 * kGiB, 100);
  EXPECT_EQ(folder_.Bytes(), 0);
  EXPECT_EQ(folder_.MakeRoom({{Hash('a'), 20 * kGiB}}), absl::OkStatus());
  EXPECT_TRUE(fs::exists(path_ / "notes.txt"));
}

}  // namespace
}  // namespace innerloop::worker
