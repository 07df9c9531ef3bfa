#include "server/service/access_service.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/support/manual_clock.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

class AccessServiceTest : public ::testing::Test {
 protected:
  grpc::Status Create(const std::string& name, v1::Role role, double lifetime) {
    v1::CreateTokenRequest request;
    request.set_name(name);
    request.set_role(role);
    request.set_lifetime_seconds(lifetime);
    return service_.CreateToken(nullptr, &request, &created_);
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  const std::unique_ptr<TokenStore> tokens_ = *TokenStore::Open(folder_.path(), clock_);
  AccessService service_{*tokens_};
  v1::CreateTokenResponse created_;
};

TEST_F(AccessServiceTest, MakesListsAndRevokesTokens) {
  ASSERT_TRUE(Create("ci", v1::ROLE_USER, 3600).ok());
  EXPECT_EQ(created_.token().expires().seconds(), absl::ToUnixSeconds(clock_.Now()) + 3600);
  EXPECT_TRUE(tokens_->Use(created_.secret()).ok());
  v1::ListTokensResponse list;
  ASSERT_TRUE(service_.ListTokens(nullptr, nullptr, &list).ok());
  ASSERT_EQ(list.tokens_size(), 1);
  EXPECT_EQ(list.tokens(0).id(), created_.token().id());
  v1::RevokeTokenRequest request;
  request.set_id(created_.token().id());
  v1::RevokeTokenResponse response;
  EXPECT_TRUE(service_.RevokeToken(nullptr, &request, &response).ok());
  EXPECT_FALSE(tokens_->Use(created_.secret()).ok());
  EXPECT_EQ(service_.RevokeToken(nullptr, &request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(AccessServiceTest, RefusesWhatMakesNoToken) {
  const auto refusal = [&](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  EXPECT_THAT(refusal(Create("", v1::ROLE_USER, 0)), HasSubstr("name"));
  EXPECT_THAT(refusal(Create(std::string(101, 'a'), v1::ROLE_USER, 0)), HasSubstr("name"));
  EXPECT_THAT(refusal(Create("a", v1::ROLE_WORKER, 0)), HasSubstr("role"));
  EXPECT_THAT(refusal(Create("a", v1::ROLE_UNSPECIFIED, 0)), HasSubstr("role"));
  for (const double lifetime : {-1.0, 0.5, 1e18, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THAT(refusal(Create("a", v1::ROLE_USER, lifetime)), HasSubstr("lifetime_seconds"));
  }
  EXPECT_TRUE(tokens_->List().empty());
}

}  // namespace
}  // namespace innerloop::server
