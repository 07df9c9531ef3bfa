#include "server/storage/recorder.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest()
      : state_(*StateStore::Open(folder_.path())),
        checkpoints_(folder_.path(), files_),
        recorder_(std::make_unique<Recorder>(*state_, checkpoints_, Clock::Real())) {
    EXPECT_TRUE(state_->InsertJob(JobNamed("a"), "").ok());
    EXPECT_TRUE(state_->InsertJob(JobNamed("b"), "").ok());
  }

  std::vector<uint64_t> Stored(const std::string& job = "a") {
    return IterationsOf(*state_->History(job, 0, 1'000'000));
  }

  TemporaryFolder folder_;
  FailingFileSystem files_;
  std::unique_ptr<StateStore> state_;
  CheckpointStore checkpoints_;
  std::unique_ptr<Recorder> recorder_;
};

TEST_F(RecorderTest, WhatWasQueuedIsStoredAfterAFlush) {
  for (uint64_t i = 0; i < 100; ++i) {
    recorder_->AddIteration("a", Record(i));
    recorder_->AddIteration("b", Record(i));
  }
  recorder_->AddEvaluation("a", PeriodicEvaluation(50, 1));
  v1::Job job = JobNamed("a");
  job.set_iteration(100);
  recorder_->UpdateJob(job);
  ASSERT_TRUE(recorder_->Flush().ok());
  EXPECT_THAT(Stored("a"), SizeIs(100));
  EXPECT_THAT(Stored("b"), SizeIs(100));
  EXPECT_THAT(*state_->Evaluations("a", 0), SizeIs(1));
  EXPECT_EQ(state_->Jobs()->front().iteration(), 100);
  EXPECT_THAT(recorder_->Pending("a", 0), IsEmpty());
}

TEST_F(RecorderTest, LogEntriesAreNumberedOverAllJobsAndCanBeReadBeforeTheyAreStored) {
  v1::LogEntry entry;
  entry.set_job_id("a");
  entry.set_message("first");
  recorder_->AddLog(entry);
  entry.set_job_id("b");
  recorder_->AddLog(entry);
  entry.set_job_id("a");
  entry.set_message("second");
  recorder_->AddLog(entry);
  ASSERT_TRUE(recorder_->Flush().ok());
  const std::vector<v1::LogEntry> stored = *state_->Log("a", 0, 10);
  ASSERT_THAT(stored, SizeIs(2));
  EXPECT_EQ(stored[1].message(), "second");
  EXPECT_EQ(stored[0].sequence(), 1);
  EXPECT_EQ(stored[1].sequence(), 3);
  // Numbers go on after a restart.
  recorder_ = std::make_unique<Recorder>(*state_, checkpoints_, Clock::Real());
  EXPECT_TRUE(recorder_
                  ->Pause([&] {
                    recorder_->AddLog(entry);
                    const std::vector<v1::LogEntry> pending = recorder_->PendingLog("a", 3);
                    EXPECT_THAT(pending, SizeIs(1));
                    EXPECT_EQ(pending[0].sequence(), 4);
                    EXPECT_THAT(recorder_->PendingLog("a", 4), IsEmpty());
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(RecorderTest, WhatHappensInAPauseComesBehindEverythingThatWasQueued) {
  recorder_->AddIteration("a", Record(0));
  bool written = false;
  recorder_->WriteCheckpoint(CheckpointOf("a", 1), false, 0,
                             [&](const auto& info) { written = info.ok(); });
  recorder_->AddIteration("a", Record(1));
  EXPECT_TRUE(recorder_
                  ->Pause([&] {
                    EXPECT_TRUE(written);
                    EXPECT_THAT(Stored(), ElementsAre(0, 1));
                    recorder_->AddIteration("a", Record(2));
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(recorder_->Pause([] { return absl::DataLossError("it was so"); }).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_THAT(Stored(), ElementsAre(0, 1, 2));
}

TEST_F(RecorderTest, WhatIsQueuedIsStoredWithoutAFlushToo) {
  recorder_->AddIteration("a", Record(0));
  recorder_.reset();
  EXPECT_THAT(Stored(), ElementsAre(0));
}

TEST_F(RecorderTest, AWatcherFindsEveryRecordAmongPendingAndStoredOnes) {
  for (uint64_t i = 0; i < 2000; ++i) {
    recorder_->AddIteration("a", Record(i));
    if (i % 100 == 50) {
      recorder_->WriteCheckpoint(CheckpointOf("a", i), false, 1, [](const auto&) {});
    }
    if (i % 10 == 0) {
      const auto pending = IterationsOf(recorder_->Pending("a", 0));
      std::set<uint64_t> all(pending.begin(), pending.end());
      for (const uint64_t iteration : Stored()) {
        all.insert(iteration);
      }
      ASSERT_EQ(all.size(), i + 1);
    }
  }
}

TEST_F(RecorderTest, HistoryIsDurableWhenTheCheckpointIsReported) {
  recorder_->AddIteration("a", Record(0));
  recorder_->AddIteration("a", Record(1));
  absl::Notification done;
  std::vector<uint64_t> stored;
  absl::StatusOr<v1::CheckpointInfo> written;
  recorder_->WriteCheckpoint(CheckpointOf("a", 2), /*best=*/true, /*keep=*/1,
                             [&](absl::StatusOr<v1::CheckpointInfo> info) {
                               stored = Stored();
                               written = std::move(info);
                               done.Notify();
                             });
  recorder_->AddIteration("a", Record(2));
  done.WaitForNotification();
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->iteration(), 2);
  EXPECT_TRUE(written->best());
  EXPECT_THAT(stored, ElementsAre(0, 1)) << "what came after the checkpoint is not part of it";
}

TEST_F(RecorderTest, AFullDiskIsReportedAndTheLastGoodCheckpointStays) {
  absl::StatusOr<v1::CheckpointInfo> first;
  absl::StatusOr<v1::CheckpointInfo> second;
  recorder_->WriteCheckpoint(CheckpointOf("a", 1), false, 0, [&](auto info) { first = info; });
  ASSERT_TRUE(recorder_->Flush().ok());
  files_.full = true;
  recorder_->AddIteration("a", Record(1));
  recorder_->WriteCheckpoint(CheckpointOf("a", 2), false, 0, [&](auto info) { second = info; });
  recorder_->AddIteration("a", Record(2));
  EXPECT_TRUE(recorder_->Flush().ok()) << "the history is stored";
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("No space left on device"));
  EXPECT_EQ(checkpoints_.Read("a", nullptr)->metadata.iteration(), 1);
  EXPECT_THAT(Stored(), ElementsAre(1, 2)) << "training goes on";
}

// Takes writes of history only while it is told to.
class FailingStateStore final : public StateStore {
 public:
  explicit FailingStateStore(StateStore& real) : real_(real) {}
  std::atomic<bool> full{false};

  absl::Status AppendHistory(const std::string& job_id,
                             absl::Span<const v1::IterationRecord> iterations,
                             absl::Span<const v1::Evaluation> evaluations) override {
    return full ? absl::ResourceExhaustedError("disk full")
                : real_.AppendHistory(job_id, iterations, evaluations);
  }
  absl::Status InsertJob(const v1::Job& job, const std::string& request_id) override {
    return real_.InsertJob(job, request_id);
  }
  absl::StatusOr<std::optional<std::string>> JobOfRequest(const std::string& id) override {
    return real_.JobOfRequest(id);
  }
  absl::Status UpdateJob(const v1::Job& job) override { return real_.UpdateJob(job); }
  absl::StatusOr<std::vector<v1::Job>> Jobs() override { return real_.Jobs(); }
  absl::Status DeleteJob(const std::string& id) override { return real_.DeleteJob(id); }
  absl::StatusOr<std::vector<v1::IterationRecord>> History(const std::string& job_id, uint64_t from,
                                                           size_t limit) override {
    return real_.History(job_id, from, limit);
  }
  absl::StatusOr<std::vector<v1::Evaluation>> Evaluations(const std::string& job_id,
                                                          uint64_t from) override {
    return real_.Evaluations(job_id, from);
  }
  absl::StatusOr<uint64_t> HistoryEnd(const std::string& job_id) override {
    return real_.HistoryEnd(job_id);
  }
  absl::Status TruncateHistory(const std::string& job_id, uint64_t from) override {
    return real_.TruncateHistory(job_id, from);
  }
  absl::Status AppendLog(const std::string& job_id,
                         absl::Span<const v1::LogEntry> entries) override {
    return full ? absl::ResourceExhaustedError("disk full") : real_.AppendLog(job_id, entries);
  }
  absl::StatusOr<std::vector<v1::LogEntry>> Log(const std::string& job_id, uint64_t after,
                                                size_t limit) override {
    return real_.Log(job_id, after, limit);
  }
  absl::StatusOr<uint64_t> LastLogSequence() override { return real_.LastLogSequence(); }
  absl::Status PutDataSet(const v1::DataSetDescription& d) override { return real_.PutDataSet(d); }
  absl::StatusOr<std::vector<v1::DataSetDescription>> DataSets() override {
    return real_.DataSets();
  }
  absl::Status DeleteDataSet(const std::string& name) override { return real_.DeleteDataSet(name); }

 private:
  StateStore& real_;
};

TEST_F(RecorderTest, HistoryThatCouldNotBeWrittenHoldsTheCheckpointBackAndIsWrittenLater) {
  FailingStateStore failing(*state_);
  Recorder recorder(failing, checkpoints_, Clock::Real());
  failing.full = true;
  recorder.AddIteration("a", Record(0));
  recorder.AddIteration("b", Record(0));
  absl::Notification done;
  absl::Status reported;
  recorder.WriteCheckpoint(CheckpointOf("a", 1), false, 0, [&](const auto& info) {
    reported = info.status();
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(reported.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(checkpoints_.Read("a", nullptr).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(recorder.Flush().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(IterationsOf(recorder.Pending("a", 0)), ElementsAre(0));

  failing.full = false;
  recorder.AddIteration("a", Record(1));
  EXPECT_TRUE(recorder.Flush().ok());
  EXPECT_THAT(Stored("a"), ElementsAre(0, 1));
  EXPECT_THAT(Stored("b"), ElementsAre(0));
}

TEST_F(RecorderTest, AJobIsNotToldOfTheTroubleOfAnother) {
  FailingStateStore failing(*state_);
  Recorder recorder(failing, checkpoints_, Clock::Real());
  failing.full = true;
  recorder.AddIteration("a", Record(0));
  v1::Job job = JobNamed("b");
  job.set_iteration(7);
  recorder.UpdateJob(job);
  EXPECT_TRUE(recorder.Flush("b").ok());
  EXPECT_EQ(state_->Jobs()->back().iteration(), 7);
  EXPECT_EQ(recorder.Flush("a").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(recorder.Flush().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(recorder.Pause([] { return absl::OkStatus(); }).code(),
            absl::StatusCode::kResourceExhausted);
  failing.full = false;
  EXPECT_TRUE(recorder.Flush("a").ok());
}

TEST_F(RecorderTest, EvaluationsThatWaitToBeStoredAreKnown) {
  v1::Evaluation evaluation;
  evaluation.set_periodic(true);
  for (const uint64_t version : {5, 10}) {
    evaluation.set_iteration(version);
    recorder_->AddEvaluation("a", evaluation);
  }
  // Those that the thread has not yet taken are pending, the others stored or about to be.
  std::set<uint64_t> known;
  for (const v1::Evaluation& pending : recorder_->PendingEvaluations("a")) {
    known.insert(pending.iteration());
  }
  const auto stored = state_->Evaluations("a", 0);
  for (const v1::Evaluation& evaluation_stored : *stored) {
    known.insert(evaluation_stored.iteration());
  }
  EXPECT_THAT(known, ElementsAre(5, 10));
  EXPECT_TRUE(recorder_->Flush().ok());
  EXPECT_THAT(recorder_->PendingEvaluations("a"), IsEmpty());
}

TEST_F(RecorderTest, AForgottenJobIsWrittenNoMore) {
  // Keeps the thread busy while things are queued behind it.
  absl::Notification go;
  recorder_->WriteCheckpoint(CheckpointOf("b", 1), false, 0,
                             [&](const auto&) { go.WaitForNotification(); });
  recorder_->AddIteration("a", Record(0));
  absl::Status reported;
  recorder_->WriteCheckpoint(CheckpointOf("a", 1), false, 0,
                             [&](const auto& info) { reported = info.status(); });
  recorder_->AddIteration("a", Record(1));
  recorder_->Forget("a");
  go.Notify();
  EXPECT_TRUE(recorder_->Flush().ok());
  EXPECT_EQ(reported.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(Stored("a"), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "jobs/a"));
}

TEST_F(RecorderTest, AJobThatWasDeletedMeanwhileStopsNobody) {
  ASSERT_TRUE(state_->DeleteJob("a").ok());
  recorder_->AddIteration("a", Record(0));
  recorder_->UpdateJob(JobNamed("a"));
  recorder_->AddIteration("b", Record(0));
  EXPECT_TRUE(recorder_->Flush().ok());
  EXPECT_THAT(Stored("b"), ElementsAre(0));
}

}  // namespace
}  // namespace innerloop::server
