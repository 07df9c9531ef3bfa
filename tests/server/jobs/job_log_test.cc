#include "server/jobs/job_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/core/support/manual_clock.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class JobLogTest : public ::testing::Test {
 protected:
  JobLogTest()
      : state_(*StateStore::Open(folder_.path())),
        checkpoints_(folder_.path(), FileSystem::Real()),
        recorder_(*state_, checkpoints_, clock_),
        log_(recorder_, events_, clock_) {
    EXPECT_TRUE(state_->InsertJob(JobNamed("a"), "").ok());
  }
  std::vector<v1::LogEntry> Stored() {
    EXPECT_TRUE(recorder_.Flush().ok());
    return *state_->Log("a", 0, 10'000);
  }
  static v1::LogEntry Rare(const std::string& message) {
    v1::LogEntry entry;
    entry.set_job_id("a");
    entry.set_severity(v1::LOG_SEVERITY_INFO);
    entry.set_message(message);
    return entry;
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  std::unique_ptr<StateStore> state_;
  CheckpointStore checkpoints_;
  Recorder recorder_;
  EventCounter events_;
  JobLog log_;
};

TEST_F(JobLogTest, EntriesAreCompleteAndOfOneLine) {
  const uint64_t before = events_.Await("a", 0, absl::ZeroDuration());
  log_.Add("a", v1::LOG_SEVERITY_WARNING, "first\nsecond ");
  log_.Add("a", v1::LOG_SEVERITY_ERROR, absl::StrCat(std::string(996, 'x'), "äöüß"));
  const std::vector<v1::LogEntry> entries = Stored();
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].message(), "first second");
  EXPECT_EQ(entries[0].source(), "coordinator");
  EXPECT_EQ(entries[0].severity(), v1::LOG_SEVERITY_WARNING);
  EXPECT_EQ(entries[0].time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(entries[0].sequence(), 1);
  // Cut where a character begins.
  EXPECT_EQ(entries[1].message(), std::string(996, 'x') + "...");
  EXPECT_GT(events_.Await("a", before, absl::ZeroDuration()), before) << "followers wake up";
}

TEST_F(JobLogTest, AJobThatHasTooMuchToSayIsCutShortButNotItsErrors) {
  for (int i = 0; i < 150; ++i) {
    log_.Add("a", v1::LOG_SEVERITY_WARNING, "again");
  }
  for (int i = 0; i < 150; ++i) {
    log_.Add("a", v1::LOG_SEVERITY_ERROR, "worse");
  }
  EXPECT_THAT(Stored(), SizeIs(100 + 150));
  clock_.Advance(absl::Seconds(10));
  log_.Add("a", v1::LOG_SEVERITY_WARNING, "again");
  EXPECT_EQ(Stored().back().message(), "again (and 50 more like it before, not shown)");
}

TEST_F(JobLogTest, WhatHappensAllTheTimeIsSaidOnceAMinute) {
  log_.AddRarely(Rare("slow"));
  log_.AddRarely(Rare("slow"));
  log_.AddRarely(Rare("slow"));
  log_.Add("a", v1::LOG_SEVERITY_INFO, "something else");
  EXPECT_THAT(Stored(), SizeIs(2));
  clock_.Advance(absl::Seconds(59));
  log_.AddRarely(Rare("slow"));
  EXPECT_THAT(Stored(), SizeIs(2));
  clock_.Advance(absl::Seconds(1));
  log_.AddRarely(Rare("slow"));
  EXPECT_THAT(Stored().back().message(), HasSubstr("3 more"));
}

}  // namespace
}  // namespace innerloop::server
