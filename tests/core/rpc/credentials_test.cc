#include "core/rpc/credentials.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/rpc/test_certificates.h"

namespace innerloop {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What is said of files that cannot be used; empty: they can.
std::string Refusal(const TlsFiles& files) {
  const absl::Status status = ReadTlsFiles(files).status();
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(Credentials, FilesThatBelongTogetherAreRead) {
  TestAuthority authority;
  const TlsFiles files = authority.Issue(kRoleWorker);
  const absl::StatusOr<TlsTexts> texts = ReadTlsFiles(files);
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->cert, ReadFile(files.cert));
  EXPECT_EQ(texts->key, ReadFile(files.key));
  EXPECT_EQ(texts->ca, ReadFile(authority.ca()));
  EXPECT_TRUE(MakeChannelCredentials(files).ok());
}

TEST(Credentials, CoordinatorsAndWorkersNeedAllThreeOrNone) {
  EXPECT_TRUE(CheckComplete({}).ok());
  EXPECT_TRUE(CheckComplete({.cert = "c", .key = "k", .ca = "a"}).ok());
  EXPECT_THAT(std::string(CheckComplete({.cert = "c", .key = "k"}).message()),
              HasSubstr("--tls-ca is missing"));
  EXPECT_THAT(std::string(CheckComplete({.key = "k", .ca = "a"}).message()),
              HasSubstr("--tls-cert is missing"));
  EXPECT_THAT(std::string(MakeChannelCredentials({.cert = "c", .key = "k"}).status().message()),
              HasSubstr("--tls-ca is missing"));
}

TEST(Credentials, BadFilesAreNamed) {
  TestAuthority authority;
  const TlsFiles good = authority.Issue(kRoleWorker);
  const TemporaryFolder folder;
  WriteFile(folder / "text", "this is no PEM\n");
  chmod((folder / "text").c_str(), 0600);

  TlsFiles files = good;
  files.cert = folder / "missing";
  EXPECT_THAT(Refusal(files), HasSubstr(files.cert));
  files.cert = folder / "text";
  EXPECT_THAT(Refusal(files), AllOf(HasSubstr(files.cert), HasSubstr("no certificate")));
  files = good;
  files.ca = folder / "text";
  EXPECT_THAT(Refusal(files), AllOf(HasSubstr(files.ca), HasSubstr("no certificate")));
  files = good;
  files.key = folder / "text";
  EXPECT_THAT(Refusal(files), AllOf(HasSubstr(files.key), HasSubstr("no private key")));
  files = good;
  files.key = authority.Issue(kRoleWorker).key;
  EXPECT_THAT(Refusal(files), AllOf(HasSubstr(files.key), HasSubstr(good.cert)))
      << "the key of another certificate";
  files = good;
  files.key.clear();
  EXPECT_THAT(Refusal(files), HasSubstr("--tls-key is missing"));
}

TEST(Credentials, AKeyThatStrangersMayReadIsRefused) {
  TestAuthority authority;
  const TlsFiles files = authority.Issue(kRoleUser);
  EXPECT_THAT(Refusal(files), IsEmpty()) << "as it was issued";
  chmod(files.key.c_str(), 0640);
  EXPECT_THAT(Refusal(files), IsEmpty()) << "a group's file is its owner's choice";
  chmod(files.key.c_str(), 0644);
  EXPECT_THAT(Refusal(files), HasSubstr("chmod 600 " + files.key));
}

TEST(Credentials, TheirCertificatesEndIsTold) {
  TestAuthority authority;
  const absl::Duration left =
      CertificateEnd(authority.Issue(kRoleUser, "ada", absl::Hours(4))).value() - absl::Now();
  EXPECT_GT(left, absl::Hours(19));
  EXPECT_LT(left, absl::Hours(21));
  EXPECT_EQ(CertificateEnd({}).value(), absl::InfiniteFuture());
}

TEST(Credentials, ACertificateOutOfItsTimeIsRefused) {
  TestAuthority authority;
  EXPECT_THAT(Refusal(authority.Issue(kRoleUser, "ada", absl::Hours(48))), HasSubstr("expired on"));
  EXPECT_THAT(Refusal(authority.Issue(kRoleUser, "ada", -absl::Hours(48))), HasSubstr("begins on"));
}

}  // namespace
}  // namespace innerloop
