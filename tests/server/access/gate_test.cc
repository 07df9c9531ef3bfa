#include "server/access/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/support/version.h"
#include "tests/core/rpc/test_certificates.h"
#include "tests/core/support/manual_clock.h"

namespace innerloop::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kList[] = "/innerloop.v1.Training/ListJobs";
constexpr char kSubmit[] = "/innerloop.v1.Training/SubmitJob";
constexpr char kConnect[] = "/innerloop.v1.Work/Connect";
constexpr char kCreateToken[] = "/innerloop.v1.Access/CreateToken";
constexpr char kHealth[] = "/grpc.health.v1.Health/Check";
constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

using Code = absl::StatusCode;

class GateTest : public ::testing::Test {
 protected:
  std::string Certificate(const std::string& role) {
    return ReadFile(authority_.Issue(role, "ada").cert);
  }
  std::string Bearer(v1::Role role, absl::Duration lifetime = absl::ZeroDuration()) {
    const auto created = tokens_->Create("bot", role, lifetime);
    EXPECT_TRUE(created.ok()) << created.status();
    last_id_ = created->token.id();
    return absl::StrCat("Bearer ", created->secret);
  }
  absl::Status Check(absl::string_view method, absl::string_view certificate,
                     absl::string_view authorization) {
    return gate_.Check(
        {.method = method, .authorization = authorization, .certificate = certificate});
  }

  TemporaryFolder folder_;
  TestAuthority authority_;
  ManualClock clock_;
  const std::unique_ptr<TokenStore> tokens_ = *TokenStore::Open(folder_.path(), clock_);
  Gate gate_{*tokens_, Gate::Mode::kTls};
  std::string last_id_;
};

TEST_F(GateTest, EachRoleMayWhatItIsFor) {
  const std::string user = Certificate(kRoleUser);
  const std::string viewer = Certificate(kRoleViewer);
  const std::string worker = Certificate(kRoleWorker);
  const std::string user_token = Bearer(v1::ROLE_USER);
  const std::string viewer_token = Bearer(v1::ROLE_VIEWER);
  const struct {
    std::string certificate;
    std::string authorization;
    Code list;
    Code submit;
    Code connect;
    Code create_token;
  } kCases[] = {
      {user, "", Code::kOk, Code::kOk, Code::kPermissionDenied, Code::kOk},
      {viewer, "", Code::kOk, Code::kPermissionDenied, Code::kPermissionDenied,
       Code::kPermissionDenied},
      {worker, "", Code::kPermissionDenied, Code::kPermissionDenied, Code::kOk,
       Code::kPermissionDenied},
      {"", user_token, Code::kOk, Code::kOk, Code::kPermissionDenied, Code::kPermissionDenied},
      {"", viewer_token, Code::kOk, Code::kPermissionDenied, Code::kPermissionDenied,
       Code::kPermissionDenied},
      {"", "", Code::kUnauthenticated, Code::kUnauthenticated, Code::kUnauthenticated,
       Code::kUnauthenticated},
      // Either suffices.
      {viewer, user_token, Code::kOk, Code::kOk, Code::kPermissionDenied, Code::kPermissionDenied},
      {user, viewer_token, Code::kOk, Code::kOk, Code::kPermissionDenied, Code::kOk},
  };
  for (size_t i = 0; i < std::size(kCases); ++i) {
    const auto& c = kCases[i];
    EXPECT_EQ(Check(kList, c.certificate, c.authorization).code(), c.list) << i;
    EXPECT_EQ(Check(kReflection, c.certificate, c.authorization).code(), c.list) << i;
    EXPECT_EQ(Check(kSubmit, c.certificate, c.authorization).code(), c.submit) << i;
    EXPECT_EQ(Check(kConnect, c.certificate, c.authorization).code(), c.connect) << i;
    EXPECT_EQ(Check(kCreateToken, c.certificate, c.authorization).code(), c.create_token) << i;
    EXPECT_EQ(Check(kHealth, c.certificate, c.authorization).code(), Code::kOk) << i;
  }
}

TEST_F(GateTest, RefusalsSayWhoLacksWhat) {
  EXPECT_THAT(std::string(Check(kSubmit, Certificate(kRoleViewer), "").message()),
              AllOf(HasSubstr("certificate 'ada' has the role viewer"),
                    HasSubstr("SubmitJob needs the role user")));
  EXPECT_THAT(std::string(Check(kConnect, "", Bearer(v1::ROLE_USER)).message()),
              AllOf(HasSubstr("token 'bot'"), HasSubstr("a certificate of the role worker")));
  EXPECT_THAT(std::string(Check(kList, "", "").message()),
              AllOf(HasSubstr("--tls-cert"), HasSubstr("INNERLOOP_TOKEN")));
  // Of a company's own authority, without a role.
  EXPECT_EQ(Check(kList, ReadFile(authority_.ca()), "").code(), Code::kPermissionDenied);
}

TEST_F(GateTest, WrongRevokedAndExpiredTokensAreRefusedAtOnce) {
  EXPECT_EQ(Check(kList, "", "Bearer ilt_nonsense").code(), Code::kUnauthenticated);
  EXPECT_EQ(Check(kList, "", "Basic YTpi").code(), Code::kUnauthenticated);
  EXPECT_EQ(Check(kList, Certificate(kRoleUser), "Bearer ilt_nonsense").code(),
            Code::kUnauthenticated)
      << "somebody who means to use a token is told that it is wrong";

  const std::string revoked = Bearer(v1::ROLE_USER);
  ASSERT_TRUE(Check(kList, "", revoked).ok());
  ASSERT_TRUE(tokens_->Revoke(last_id_).ok());
  const absl::Status status = Check(kList, "", revoked);
  EXPECT_EQ(status.code(), Code::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr("revoked"));

  const std::string brief = Bearer(v1::ROLE_USER, absl::Hours(1));
  ASSERT_TRUE(Check(kList, "", brief).ok());
  clock_.Advance(absl::Minutes(61));
  EXPECT_THAT(std::string(Check(kList, "", brief).message()), HasSubstr("'bot' expired on 20"));
}

TEST_F(GateTest, AnotherVersionOfTheApiIsNamed) {
  const std::string user = Certificate(kRoleUser);
  IncomingCall call = {.method = kList, .certificate = user};
  EXPECT_TRUE(gate_.Check(call).ok()) << "programs that are not ours send none";
  const std::string ours = absl::StrCat(kApiVersion);
  call.api_version = ours;
  EXPECT_TRUE(gate_.Check(call).ok());
  const std::string other = absl::StrCat(kApiVersion + 1);
  call.api_version = other;
  const absl::Status status = gate_.Check(call);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(absl::StrCat("version ", other)),
                                                   HasSubstr(absl::StrCat("version ", ours))));
  call.api_version = "many";
  EXPECT_TRUE(absl::IsFailedPrecondition(gate_.Check(call)));
  Gate plaintext(*tokens_, Gate::Mode::kLoopback);
  EXPECT_TRUE(absl::IsFailedPrecondition(plaintext.Check(call)));
}

TEST_F(GateTest, WithoutTlsEverybodyMayEverythingButMakeTokensFromAfar) {
  Gate loopback(*tokens_, Gate::Mode::kLoopback);
  Gate open(*tokens_, Gate::Mode::kOpen);
  for (const char* method : {kList, kSubmit, kConnect, kHealth}) {
    EXPECT_TRUE(loopback.Check({.method = method}).ok()) << method;
    EXPECT_TRUE(open.Check({.method = method}).ok()) << method;
  }
  EXPECT_TRUE(loopback.Check({.method = kCreateToken}).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(open.Check({.method = kCreateToken})));
}

}  // namespace
}  // namespace innerloop::server
