#include "server/iteration/shard_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Verdict = ShardBoard::Verdict;

class ShardBoardTest : public ::testing::Test {
 protected:
  std::optional<size_t> Pick(const std::string& worker) {
    return board_.Pick(worker, [this](const std::set<std::string>& failed_on) {
      return others_ > static_cast<int>(failed_on.size());
    });
  }
  // Gives the next shard to a worker.
  uint64_t Give(const std::string& worker) {
    const std::optional<size_t> shard = Pick(worker);
    EXPECT_TRUE(shard.has_value());
    board_.Started(++work_, *shard, worker, now_);
    return work_;
  }
  bool Finish(uint64_t work) { return board_.Finished(work, now_, &dropped_); }

  ShardBoard board_{absl::Seconds(600)};
  // How many workers there are.
  int others_ = 3;
  uint64_t work_ = 0;
  absl::Duration now_;
  std::vector<uint64_t> dropped_;
};

TEST_F(ShardBoardTest, IsCompleteWhenEachShardIsDone) {
  board_.Reset(3);
  const uint64_t a = Give("a");
  const uint64_t b = Give("b");
  const uint64_t c = Give("a");
  EXPECT_FALSE(board_.HasPending());
  EXPECT_TRUE(Finish(b));
  EXPECT_TRUE(Finish(a));
  EXPECT_FALSE(board_.complete());
  EXPECT_TRUE(Finish(c));
  EXPECT_TRUE(board_.complete());
  EXPECT_THAT(dropped_, IsEmpty());
}

TEST_F(ShardBoardTest, AResultCountsOnce) {
  board_.Reset(2);
  const uint64_t a = Give("a");
  EXPECT_TRUE(Finish(a));
  EXPECT_FALSE(Finish(a));
  EXPECT_FALSE(Finish(99));
  EXPECT_EQ(board_.Lost(a, "shard 0"), Verdict::kStale);
}

TEST_F(ShardBoardTest, BackupCopyOfAShardCountsOnce) {
  board_.Reset(2);
  const uint64_t a = Give("a");
  const uint64_t b = Give("b");
  now_ = absl::Milliseconds(10);
  EXPECT_TRUE(Finish(a));
  // Three medians and a tenth of a second.
  now_ = absl::Milliseconds(130);
  board_.MarkSlow(now_);
  EXPECT_FALSE(board_.HasPending());
  now_ = absl::Milliseconds(131);
  board_.MarkSlow(now_);
  ASSERT_TRUE(board_.HasPending());
  EXPECT_EQ(Pick("b"), std::nullopt) << "the worker that is slow got its own shard again";
  const uint64_t copy = Give("a");
  board_.MarkSlow(now_);
  EXPECT_FALSE(board_.HasPending()) << "a second copy is wanted";
  EXPECT_TRUE(Finish(copy));
  EXPECT_THAT(dropped_, ElementsAre(b));
  EXPECT_TRUE(board_.complete());
  EXPECT_FALSE(Finish(b));
}

TEST_F(ShardBoardTest, TheSlowOneMayStillWin) {
  board_.Reset(2);
  const uint64_t slow = Give("a");
  EXPECT_TRUE(Finish(Give("b")));
  now_ = absl::Seconds(1);
  board_.MarkSlow(now_);
  const uint64_t copy = Give("b");
  EXPECT_TRUE(Finish(slow));
  EXPECT_THAT(dropped_, ElementsAre(copy));
}

TEST_F(ShardBoardTest, ACopyThatIsWantedButNotGivenOutGoesWithItsShard) {
  board_.Reset(2);
  const uint64_t slow = Give("a");
  EXPECT_TRUE(Finish(Give("b")));
  now_ = absl::Seconds(1);
  board_.MarkSlow(now_);
  EXPECT_TRUE(Finish(slow));
  EXPECT_FALSE(board_.HasPending());
}

TEST_F(ShardBoardTest, WithoutAFinishedShardNothingIsSlow) {
  board_.Reset(1);
  Give("a");
  board_.MarkSlow(absl::Hours(1));
  EXPECT_FALSE(board_.HasPending());
}

TEST_F(ShardBoardTest, EarlierIterationsTellWhatIsSlow) {
  board_.Reset(1);
  EXPECT_TRUE(Finish(Give("a")));
  board_.Reset(1);
  Give("a");
  board_.MarkSlow(now_ + absl::Seconds(1));
  EXPECT_TRUE(board_.HasPending());
}

TEST_F(ShardBoardTest, TheThirdDeathFailsTheJobAndNamesTheShard) {
  board_.Reset(2);
  EXPECT_EQ(board_.Lost(Give("a"), "shard 0"), Verdict::kRetry);
  EXPECT_EQ(board_.Lost(Give("b"), "shard 0"), Verdict::kRetry);
  EXPECT_EQ(board_.Lost(Give("c"), "shard 0 of iteration 4"), Verdict::kFail);
  EXPECT_EQ(board_.failure().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(board_.failure().message()), HasSubstr("shard 0 of iteration 4"));
}

TEST_F(ShardBoardTest, DeathsOfDifferentShardsDoNotAddUp) {
  board_.Reset(3);
  for (int round = 0; round < 2; ++round) {
    const uint64_t a = Give("a");
    const uint64_t b = Give("b");
    const uint64_t c = Give("c");
    for (uint64_t work : {a, b, c}) {
      EXPECT_EQ(board_.Lost(work, ""), Verdict::kRetry);
    }
  }
}

TEST_F(ShardBoardTest, WhatIsGivenBackUnharmedIsNoDeath) {
  board_.Reset(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(board_.Returned(Give("a")), Verdict::kRetry);
  }
  EXPECT_TRUE(Finish(Give("a")));
}

TEST_F(ShardBoardTest, ALostShardWithACopyUnderWayIsNotGivenOutAgain) {
  board_.Reset(2);
  const uint64_t slow = Give("a");
  EXPECT_TRUE(Finish(Give("b")));
  now_ = absl::Seconds(1);
  board_.MarkSlow(now_);
  const uint64_t copy = Give("b");
  EXPECT_EQ(board_.Lost(slow, ""), Verdict::kRetry);
  EXPECT_FALSE(board_.HasPending());
  EXPECT_EQ(board_.Lost(copy, ""), Verdict::kRetry);
  EXPECT_TRUE(board_.HasPending());
}

TEST_F(ShardBoardTest, TheSameErrorFromTwoWorkersFailsTheJob) {
  board_.Reset(1);
  EXPECT_EQ(board_.Failed(Give("a"), absl::InternalError("boom"), "shard 0"), Verdict::kRetry);
  EXPECT_EQ(board_.Failed(Give("b"), absl::InternalError("boom"), "shard 0"), Verdict::kFail);
  EXPECT_EQ(board_.failure().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(board_.failure().message()), HasSubstr("boom"));
}

TEST_F(ShardBoardTest, DifferentErrorsAreTriedOn) {
  board_.Reset(1);
  EXPECT_EQ(board_.Failed(Give("a"), absl::InternalError("boom"), ""), Verdict::kRetry);
  EXPECT_EQ(board_.Failed(Give("b"), absl::InternalError("bang"), ""), Verdict::kRetry);
  EXPECT_TRUE(Finish(Give("c")));
}

TEST_F(ShardBoardTest, AnErrorThatIsTheJobsOwnFaultIsNotTriedAgain) {
  for (const absl::Status& error : {absl::InvalidArgumentError("30 ways of 20 classes"),
                                    absl::ResourceExhaustedError("memory")}) {
    board_.Reset(1);
    EXPECT_EQ(board_.Failed(Give("a"), error, "shard 0"), Verdict::kFail);
    EXPECT_EQ(board_.failure(), error);
  }
}

TEST_F(ShardBoardTest, AFailedShardGoesToAnotherWorkerWhileThereIsOne) {
  board_.Reset(1);
  EXPECT_EQ(board_.Failed(Give("a"), absl::InternalError("boom"), ""), Verdict::kRetry);
  EXPECT_EQ(Pick("a"), std::nullopt);
  others_ = 1;
  EXPECT_NE(Pick("a"), std::nullopt);
}

TEST_F(ShardBoardTest, AWorkerThatIsAloneFailsTheJobAfterThreeEqualErrors) {
  others_ = 1;
  board_.Reset(1);
  EXPECT_EQ(board_.Failed(Give("a"), absl::InternalError("boom"), ""), Verdict::kRetry);
  EXPECT_EQ(board_.Failed(Give("a"), absl::InternalError("boom"), ""), Verdict::kRetry);
  EXPECT_EQ(board_.Failed(Give("a"), absl::InternalError("boom"), ""), Verdict::kFail);
}

TEST_F(ShardBoardTest, TellsWhichWorkTookTooLong) {
  board_.Reset(2);
  const uint64_t a = Give("a");
  now_ = absl::Seconds(1);
  Give("b");
  EXPECT_THAT(board_.TimedOut(absl::Seconds(600)), IsEmpty());
  EXPECT_THAT(board_.TimedOut(absl::Seconds(600.5)), UnorderedElementsAre(a));
}

TEST_F(ShardBoardTest, AWorkersWaitForItsFilesIsNoneOfTheShardsTime) {
  board_.Reset(2);
  const uint64_t waits = Give("a");
  const uint64_t works = Give("b");
  board_.Waits(waits, absl::Seconds(500));
  EXPECT_THAT(board_.TimedOut(absl::Seconds(1100)), UnorderedElementsAre(works));
  EXPECT_THAT(board_.TimedOut(absl::Seconds(1101)), UnorderedElementsAre(waits, works));
}

TEST_F(ShardBoardTest, AShardWhoseResultComesIsNotCopied) {
  board_.Reset(2);
  const uint64_t comes = Give("a");
  EXPECT_TRUE(Finish(Give("b")));
  board_.Begun(comes, absl::Milliseconds(10));
  board_.MarkSlow(absl::Seconds(1));
  EXPECT_FALSE(board_.HasPending());
  // Its worker dies while it comes.
  EXPECT_EQ(board_.Returned(comes), Verdict::kRetry);
  EXPECT_TRUE(board_.HasPending());
}

TEST_F(ShardBoardTest, ACopyThatIsWantedButNotGivenOutGoesWhenTheResultComes) {
  board_.Reset(2);
  const uint64_t slow = Give("a");
  EXPECT_TRUE(Finish(Give("b")));
  board_.MarkSlow(absl::Seconds(1));
  ASSERT_TRUE(board_.HasPending());
  board_.Begun(slow, absl::Seconds(1));
  board_.MarkSlow(absl::Seconds(2));
  EXPECT_FALSE(board_.HasPending());
}

TEST_F(ShardBoardTest, WhatIsSlowIsTakenFromComputingNotFromSending) {
  board_.Reset(1);
  const uint64_t first = Give("a");
  board_.Begun(first, absl::Milliseconds(10));
  // It is asked for an hour later.
  now_ = absl::Hours(1);
  board_.Waits(first, now_);
  EXPECT_TRUE(Finish(first));
  board_.Reset(1);
  Give("a");
  board_.MarkSlow(now_ + absl::Milliseconds(130));
  EXPECT_FALSE(board_.HasPending());
  board_.MarkSlow(now_ + absl::Milliseconds(131));
  EXPECT_TRUE(board_.HasPending());
}

TEST_F(ShardBoardTest, AShardWhoseWorkerWaitsForItsFilesIsCopied) {
  board_.Reset(2);
  const uint64_t waits = Give("a");
  const uint64_t works = Give("b");
  now_ = absl::Milliseconds(10);
  EXPECT_TRUE(Finish(works));
  board_.Waits(waits, absl::Milliseconds(130));
  board_.MarkSlow(absl::Milliseconds(131));
  EXPECT_TRUE(board_.HasPending());
}

}  // namespace
}  // namespace innerloop::server
