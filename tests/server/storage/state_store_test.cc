#include "server/storage/state_store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StateStoreTest : public ::testing::Test {
 protected:
  StateStoreTest() { Reopen(); }

  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<StateStore>> store = StateStore::Open(state_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Insert(const std::string& id) { ASSERT_TRUE(store_->InsertJob(JobNamed(id), "").ok()); }
  void Append(uint64_t first, uint64_t last, double meta_loss = 1) {
    const absl::Status status = store_->AppendHistory("a", Records(first, last, meta_loss), {});
    ASSERT_TRUE(status.ok()) << status;
  }
  std::vector<v1::IterationRecord> History(uint64_t from = 0, size_t limit = 1'000'000) {
    auto records = store_->History("a", from, limit);
    EXPECT_TRUE(records.ok()) << records.status();
    return *std::move(records);
  }

  TemporaryFolder state_;
  std::unique_ptr<StateStore> store_;
};

TEST_F(StateStoreTest, JobsSurviveReopeningInTheOrderOfTheirSubmission) {
  Insert("b");
  Insert("a");
  v1::Job job = JobNamed("b");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  ASSERT_TRUE(store_->UpdateJob(job).ok());
  Reopen();
  const auto jobs = store_->Jobs();
  ASSERT_TRUE(jobs.ok());
  ASSERT_EQ(jobs->size(), 2);
  EXPECT_EQ((*jobs)[0].id(), "b");
  EXPECT_EQ((*jobs)[0].state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ((*jobs)[1].id(), "a");
}

TEST_F(StateStoreTest, ARequestMakesOneJobOnly) {
  ASSERT_TRUE(store_->InsertJob(JobNamed("a"), "request").ok());
  const absl::Status again = store_->InsertJob(JobNamed("b"), "request");
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.message()), HasSubstr("made job a already"));
  Reopen();
  EXPECT_EQ(*store_->JobOfRequest("request"), "a");
  EXPECT_EQ(*store_->JobOfRequest("other"), std::nullopt);
  EXPECT_EQ(store_->Jobs()->size(), 1);
}

TEST_F(StateStoreTest, UpdatingAJobThatIsNotThereSaysSo) {
  EXPECT_EQ(store_->UpdateJob(JobNamed("a")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->AppendHistory("a", Records(0, 1), {}).code(), absl::StatusCode::kNotFound);
}

TEST_F(StateStoreTest, HistoryComesBackFromAnyIterationUpToALimit) {
  Insert("a");
  Append(0, 10);
  Append(10, 3000);
  Append(3000, 3001);
  Reopen();
  EXPECT_EQ(History().size(), 3001);
  EXPECT_THAT(IterationsOf(History(9, 3)), ElementsAre(9, 10, 11));
  EXPECT_THAT(IterationsOf(History(2998)), ElementsAre(2998, 2999, 3000));
  EXPECT_THAT(History(3001), IsEmpty());
  EXPECT_THAT(*store_->History("b", 0, 10), IsEmpty());
}

TEST_F(StateStoreTest, WritingIterationsAgainReplacesThem) {
  Insert("a");
  Append(0, 10);
  Append(10, 20);
  Append(5, 12, /*meta_loss=*/2);
  const auto records = History();
  ASSERT_EQ(records.size(), 20);
  for (uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(records[i].iteration(), i);
    EXPECT_EQ(records[i].meta_loss(), i >= 5 && i < 12 ? 2 : 1) << i;
  }
}

TEST_F(StateStoreTest, TruncationForgetsWhatWillBeDoneAgain) {
  Insert("a");
  Append(0, 10);
  Append(10, 20);
  v1::Evaluation asked_for = PeriodicEvaluation(15, 0.5);
  asked_for.set_periodic(false);
  ASSERT_TRUE(store_
                  ->AppendHistory("a", {},
                                  {PeriodicEvaluation(5, 3), PeriodicEvaluation(7, 2),
                                   PeriodicEvaluation(15, 1), asked_for})
                  .ok());
  ASSERT_TRUE(store_->TruncateHistory("a", 7).ok());
  EXPECT_EQ(IterationsOf(History()).back(), 6);
  EXPECT_EQ(History().size(), 7);
  const auto evaluations = store_->Evaluations("a", 0);
  ASSERT_EQ(evaluations->size(), 3);
  EXPECT_EQ((*evaluations)[1].iteration(), 7) << "version 7 is there already";
  EXPECT_FALSE((*evaluations)[2].periodic());
  Append(7, 9);
  EXPECT_EQ(History().size(), 9);
}

TEST_F(StateStoreTest, AnEvaluationOfTheSameVersionAndScheduleReplacesTheFirst) {
  Insert("a");
  ASSERT_TRUE(store_->AppendHistory("a", {}, {PeriodicEvaluation(5, 3)}).ok());
  ASSERT_TRUE(store_->AppendHistory("a", {}, {PeriodicEvaluation(5, 2)}).ok());
  const auto evaluations = store_->Evaluations("a", 5);
  ASSERT_EQ(evaluations->size(), 1);
  EXPECT_EQ((*evaluations)[0].steps(0).loss(), 2);
  EXPECT_THAT(*store_->Evaluations("a", 6), IsEmpty());
}

TEST_F(StateStoreTest, DeletingAJobTakesItsHistoryAlong) {
  Insert("a");
  Append(0, 10);
  ASSERT_TRUE(store_->AppendHistory("a", {}, {PeriodicEvaluation(5, 3)}).ok());
  ASSERT_TRUE(store_->DeleteJob("a").ok());
  Insert("a");
  EXPECT_THAT(History(), IsEmpty());
  EXPECT_THAT(*store_->Evaluations("a", 0), IsEmpty());
}

TEST_F(StateStoreTest, ADataSetsNameStandsForOneHash) {
  v1::DataSetDescription data_set;
  data_set.set_name("digits");
  data_set.set_sha256("one");
  ASSERT_TRUE(store_->PutDataSet(data_set).ok());
  data_set.set_sha256("two");
  ASSERT_TRUE(store_->PutDataSet(data_set).ok());
  Reopen();
  ASSERT_EQ(store_->DataSets()->size(), 1);
  EXPECT_EQ(store_->DataSets()->front().sha256(), "two");
  ASSERT_TRUE(store_->DeleteDataSet("digits").ok());
  EXPECT_THAT(*store_->DataSets(), IsEmpty());
}

TEST_F(StateStoreTest, ASecondOpeningNamesTheProcessThatHasTheFolder) {
  // Another process, as locks of one process may not exclude each other.
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    const std::string message(StateStore::Open(state_.path()).status().ToString());
    const ssize_t written = write(pipes[1], message.data(), message.size());
    _exit(written > 0 ? 0 : 1);
  }
  close(pipes[1]);
  std::string message(1000, '\0');
  message.resize(read(pipes[0], message.data(), message.size()));
  close(pipes[0]);
  waitpid(child, nullptr, 0);
  EXPECT_THAT(message, HasSubstr("FAILED_PRECONDITION"));
  EXPECT_THAT(message,
              HasSubstr(absl::StrCat("in use by another coordinator (process ", getpid())));
}

TEST_F(StateStoreTest, WhatAKilledCoordinatorLeftHalfDoneGoes) {
  const std::vector<std::string> whole = {
      state_ / "jobs/a/checkpoint-000000000100.safetensors", state_ / "jobs/a/best",
      state_ / absl::StrCat("datasets/", std::string(64, 'a'), ".part")};
  const std::vector<std::string> half = {
      state_ / "jobs/a/checkpoint-000000000200.safetensors.123-4.tmp",
      state_ / "jobs/a/best.123-5.tmp", state_ / "uploads/upload-x1Y2z3"};
  for (const std::vector<std::string>& paths : {whole, half}) {
    for (const std::string& path : paths) {
      WriteFile(path, "x");
    }
  }
  // Somebody else's folder is left alone.
  EXPECT_FALSE(StateStore::Open(state_.path()).ok());
  EXPECT_TRUE(std::all_of(half.begin(), half.end(),
                          [](const auto& path) { return std::filesystem::exists(path); }));
  Reopen();
  for (const std::string& path : whole) {
    EXPECT_TRUE(std::filesystem::exists(path)) << path;
  }
  for (const std::string& path : half) {
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  }
}

TEST_F(StateStoreTest, ATruncatedDatabaseIsDataLossAndNamed) {
  Insert("a");
  Append(0, 5000);
  store_.reset();
  const std::string path = state_ / "innerloop.db";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  absl::StatusOr<std::unique_ptr<StateStore>> store = StateStore::Open(state_.path());
  const absl::Status status = store.ok() ? (*store)->Jobs().status() : store.status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

TEST_F(StateStoreTest, AFlippedBitInAStoredMessageIsDataLoss) {
  v1::Job job = JobNamed("a");
  job.set_failure_message(std::string(200, 'x'));
  ASSERT_TRUE(store_->InsertJob(job, "").ok());
  store_.reset();
  const std::string path = state_ / "innerloop.db";
  std::string content = *FileSystem::Real().Read(path);
  const size_t at = content.find("xxxxxxxx");
  ASSERT_NE(at, std::string::npos);
  content[at] = 'y';
  ASSERT_TRUE(FileSystem::Real().Replace(path, {content}).ok());
  Reopen();
  const absl::Status status = store_->Jobs().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("damaged innerloop.v1.Job"));
}

TEST_F(StateStoreTest, AFileThatIsNoDatabaseIsRefused) {
  store_.reset();
  ASSERT_TRUE(FileSystem::Real().Replace(state_ / "innerloop.db", {std::string(10'000, 'x')}).ok());
  EXPECT_EQ(StateStore::Open(state_.path()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace innerloop::server
