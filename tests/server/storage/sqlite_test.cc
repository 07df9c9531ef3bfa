#include "server/storage/sqlite.h"

#include <gtest/gtest.h>

#include "tests/core/support/temporary_folder.h"

namespace innerloop::server {
namespace {

class TransactionTest : public ::testing::Test {
 protected:
  TransactionTest() : database_(*Database::Open(path_)) {
    EXPECT_TRUE(database_->Execute("CREATE TABLE numbers (number INTEGER)").ok());
  }
  void Insert() { ASSERT_TRUE(database_->Execute("INSERT INTO numbers VALUES (1)").ok()); }
  int64_t Count() {
    Statement statement = database_->Prepare("SELECT count(*) FROM numbers");
    EXPECT_TRUE(statement.Step().ok());
    return statement.Integer(0);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "numbers.db";
  const std::unique_ptr<Database> database_;
};

TEST_F(TransactionTest, WhatIsNotCommittedIsRolledBack) {
  {
    const absl::StatusOr<Transaction> transaction = Transaction::Begin(*database_);
    ASSERT_TRUE(transaction.ok()) << transaction.status();
    Insert();
  }
  EXPECT_EQ(Count(), 0);
  {
    absl::StatusOr<Transaction> begun = Transaction::Begin(*database_);
    ASSERT_TRUE(begun.ok()) << begun.status();
    Transaction transaction = *std::move(begun);
    Insert();
    EXPECT_TRUE(transaction.Commit().ok());
  }
  EXPECT_EQ(Count(), 1);
}

TEST_F(TransactionTest, OneThatCannotBeginIsNone) {
  const std::unique_ptr<Database> other = *Database::Open(path_);
  ASSERT_TRUE(other->Execute("PRAGMA busy_timeout=0").ok());
  const absl::StatusOr<Transaction> first = Transaction::Begin(*database_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Transaction::Begin(*other).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace innerloop::server
