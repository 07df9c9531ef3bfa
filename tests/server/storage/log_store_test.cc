#include "server/storage/log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/storage/state_store.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LogStoreTest : public ::testing::Test {
 protected:
  LogStoreTest() { Reopen(); }

  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<StateStore>> store = StateStore::Open(folder_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  static v1::LogEntry Entry(uint64_t sequence, v1::LogSeverity severity = v1::LOG_SEVERITY_INFO) {
    v1::LogEntry entry;
    entry.set_sequence(sequence);
    entry.set_severity(severity);
    entry.set_message("it happened");
    return entry;
  }
  std::vector<uint64_t> Sequences(const std::string& job, uint64_t after = 0,
                                  size_t limit = 10'000) {
    const auto entries = store_->Log(job, after, limit);
    EXPECT_TRUE(entries.ok()) << entries.status();
    std::vector<uint64_t> sequences;
    for (const v1::LogEntry& entry : *entries) {
      EXPECT_EQ(entry.message(), "it happened");
      sequences.push_back(entry.sequence());
    }
    return sequences;
  }

  TemporaryFolder folder_;
  std::unique_ptr<StateStore> store_;
};

TEST_F(LogStoreTest, EntriesComeBackInOrderFromAnyOneOn) {
  ASSERT_TRUE(store_->InsertJob(JobNamed("a"), "").ok());
  ASSERT_TRUE(store_->InsertJob(JobNamed("b"), "").ok());
  ASSERT_TRUE(store_->AppendLog("a", {Entry(1), Entry(3)}).ok());
  ASSERT_TRUE(store_->AppendLog("b", {Entry(2)}).ok());
  ASSERT_TRUE(store_->AppendLog("a", {Entry(4)}).ok());
  Reopen();
  EXPECT_THAT(Sequences("a"), ElementsAre(1, 3, 4));
  EXPECT_THAT(Sequences("a", 1), ElementsAre(3, 4));
  EXPECT_THAT(Sequences("a", 0, 2), ElementsAre(1, 3));
  EXPECT_THAT(Sequences("b"), ElementsAre(2));
  EXPECT_EQ(*store_->LastLogSequence(), 4);
}

TEST_F(LogStoreTest, BeyondAThousandTheOldestOfWhatMattersLeastGoes) {
  ASSERT_TRUE(store_->InsertJob(JobNamed("a"), "").ok());
  std::vector<v1::LogEntry> entries = {Entry(1, v1::LOG_SEVERITY_ERROR),
                                       Entry(2, v1::LOG_SEVERITY_WARNING), Entry(3), Entry(4)};
  for (uint64_t i = 5; i <= kMostLogEntries + 1; ++i) {
    entries.push_back(Entry(i, v1::LOG_SEVERITY_WARNING));
  }
  ASSERT_TRUE(store_->AppendLog("a", entries).ok());
  EXPECT_THAT(Sequences("a", 0, 4), ElementsAre(1, 2, 4, 5)) << "the older INFO goes first";
  ASSERT_TRUE(store_
                  ->AppendLog("a", {Entry(2000, v1::LOG_SEVERITY_WARNING),
                                    Entry(2001, v1::LOG_SEVERITY_WARNING)})
                  .ok());
  EXPECT_THAT(Sequences("a", 0, 3), ElementsAre(1, 5, 6)) << "then warnings, and the error stays";
  EXPECT_EQ(Sequences("a").size(), kMostLogEntries);
  EXPECT_EQ(Sequences("a").back(), 2001);
}

TEST_F(LogStoreTest, ALogGoesWithItsJobAndItsNumbersAreNotUsedAgain) {
  ASSERT_TRUE(store_->InsertJob(JobNamed("a"), "").ok());
  ASSERT_TRUE(store_->AppendLog("a", {Entry(7)}).ok());
  ASSERT_TRUE(store_->DeleteJob("a").ok());
  EXPECT_THAT(Sequences("a"), IsEmpty());
  EXPECT_EQ(store_->AppendLog("a", {Entry(8)}).code(), absl::StatusCode::kNotFound);
  Reopen();
  EXPECT_EQ(*store_->LastLogSequence(), 7);
}

TEST_F(LogStoreTest, ADatabaseFromBeforeLogsGetsThem) {
  ASSERT_TRUE(store_->InsertJob(JobNamed("a"), "").ok());
  store_.reset();
  {
    const auto database = Database::Open(folder_ / "innerloop.db");
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)->Execute("DROP TABLE log; PRAGMA user_version = 1").ok());
  }
  Reopen();
  ASSERT_TRUE(store_->AppendLog("a", {Entry(1)}).ok());
  EXPECT_THAT(Sequences("a"), ElementsAre(1));
  EXPECT_EQ(store_->Jobs()->size(), 1);
}

}  // namespace
}  // namespace innerloop::server
