#include "server/storage/token_store.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/synchronization/notification.h"
#include "core/support/checksum.h"
#include "tests/core/support/manual_clock.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class TokenStoreTest : public ::testing::Test {
 protected:
  TokenStoreTest() { Reopen(); }
  void Reopen() {
    store_.reset();
    auto store = TokenStore::Open(folder_.path(), clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  TokenStore::Created Create(const std::string& name,
                             absl::Duration lifetime = absl::ZeroDuration()) {
    auto created = store_->Create(name, v1::ROLE_VIEWER, lifetime);
    EXPECT_TRUE(created.ok()) << created.status();
    return *std::move(created);
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  std::unique_ptr<TokenStore> store_;
};

TEST_F(TokenStoreTest, ASecretIsFoundAgainAfterReopening) {
  const TokenStore::Created created = Create("ci");
  Reopen();
  const auto found = store_->Use(created.secret);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->id(), created.token.id());
  EXPECT_EQ(found->name(), "ci");
  EXPECT_EQ(found->role(), v1::ROLE_VIEWER);
  EXPECT_FALSE(found->has_expires());
}

TEST_F(TokenStoreTest, SecretsAre32RandomBytesWithAPrefix) {
  const std::string one = Create("a").secret;
  const std::string other = Create("a").secret;
  EXPECT_NE(one, other);
  EXPECT_THAT(one, StartsWith(kTokenPrefix));
  std::string bytes;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(one.substr(4), &bytes)) << one;
  EXPECT_EQ(bytes.size(), 32);
}

TEST_F(TokenStoreTest, NoFileHoldsASecret) {
  const std::string secret = Create("a").secret;
  ASSERT_TRUE(store_->Use(secret).ok());
  bool hash_found = false;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    const std::string bytes = ReadFile(entry.path());
    EXPECT_THAT(bytes, Not(HasSubstr(secret.substr(4)))) << entry.path();
    hash_found = hash_found || bytes.find(Sha256::Hex(secret)) != std::string::npos;
  }
  EXPECT_TRUE(hash_found);
}

TEST_F(TokenStoreTest, ARevokedTokenStaysRevoked) {
  const TokenStore::Created kept = Create("kept");
  const TokenStore::Created revoked = Create("revoked");
  ASSERT_TRUE(store_->Revoke(revoked.token.id()).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(store_->Use(revoked.secret).status()));
  Reopen();
  EXPECT_TRUE(absl::IsUnauthenticated(store_->Use(revoked.secret).status()));
  EXPECT_TRUE(store_->Use(kept.secret).ok());
  EXPECT_EQ(store_->List().size(), 1);
  const absl::Status again = store_->Revoke(revoked.token.id());
  EXPECT_TRUE(absl::IsNotFound(again)) << again;
  EXPECT_THAT(std::string(again.message()), HasSubstr(revoked.token.id()));
}

TEST_F(TokenStoreTest, ATokenIsGoodUntilItExpires) {
  const TokenStore::Created created = Create("brief", absl::Hours(2));
  clock_.Advance(absl::Hours(2) - absl::Seconds(1));
  EXPECT_TRUE(store_->Use(created.secret).ok());
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsUnauthenticated(store_->Use(created.secret).status()));
}

TEST_F(TokenStoreTest, TheLastUseIsNotedOnceAMinute) {
  const TokenStore::Created created = Create("a");
  EXPECT_FALSE(store_->List()[0].has_last_used());
  const auto used = [&] {
    EXPECT_TRUE(store_->Use(created.secret).ok());
    return store_->List()[0].last_used().seconds();
  };
  const int64_t first = used();
  EXPECT_EQ(first, absl::ToUnixSeconds(clock_.Now()));
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(used(), first);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(used(), first + 60);
  Reopen();
  EXPECT_EQ(store_->List()[0].last_used().seconds(), first + 60);
}

TEST_F(TokenStoreTest, AUseWaitsNeitherForWritersNorForThoseWhoWaitForThem) {
  const TokenStore::Created created = Create("a");
  clock_.Advance(absl::Seconds(1));
  const auto writer = *Database::Open(folder_ / "innerloop.db");
  ASSERT_TRUE(writer->Execute("BEGIN IMMEDIATE").ok());
  absl::Notification begun;
  absl::Status made;
  std::thread maker([&] {
    begun.Notify();
    made = store_->Create("b", v1::ROLE_USER, absl::ZeroDuration()).status();
  });
  begun.WaitForNotification();
  // Each would be noted. One that waited would do so for longer than the maker is ready to.
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Minutes(1));
    EXPECT_TRUE(store_->Use(created.secret).ok());
  }
  EXPECT_TRUE(writer->Execute("ROLLBACK").ok());
  maker.join();
  EXPECT_TRUE(made.ok()) << made;
  // What was not noted is noted the next time.
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(store_->Use(created.secret).ok());
  Reopen();
  EXPECT_EQ(store_->List()[0].last_used().seconds(), absl::ToUnixSeconds(clock_.Now()));
}

TEST_F(TokenStoreTest, ListsTheOldestFirst) {
  Create("b");
  clock_.Advance(absl::Milliseconds(1));
  Create("a");
  const std::vector<v1::Token> tokens = store_->List();
  ASSERT_EQ(tokens.size(), 2);
  EXPECT_EQ(tokens[0].name(), "b");
  EXPECT_EQ(tokens[1].name(), "a");
}

}  // namespace
}  // namespace innerloop::server
