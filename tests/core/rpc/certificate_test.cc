#include "core/rpc/certificate.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/rpc/openssl.h"
#include "tests/core/rpc/test_certificates.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Certificate Parse(const std::string& file) {
  const auto certificate = ParseCertificate(ReadFile(file));
  EXPECT_TRUE(certificate.ok()) << certificate.status();
  return certificate.value_or(Certificate());
}

// OpenSSL's own verdict on a certificate for a purpose: X509_V_OK or what is wrong.
int Verify(const std::string& ca, const std::string& cert, int purpose) {
  const std::string ca_text = ReadFile(ca);
  const std::string cert_text = ReadFile(cert);
  const X509Ptr authority(PEM_read_bio_X509(ReadFrom(ca_text).get(), nullptr, nullptr, nullptr));
  const X509Ptr leaf(PEM_read_bio_X509(ReadFrom(cert_text).get(), nullptr, nullptr, nullptr));
  const std::unique_ptr<X509_STORE, OpenSslFree<X509_STORE_free>> store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), authority.get());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_X509_STRICT);
  const std::unique_ptr<X509_STORE_CTX, OpenSslFree<X509_STORE_CTX_free>> context(
      X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

TEST(Certificates, AreReadAsTheyWereIssued) {
  TestAuthority authority("lab");
  const Certificate ca = Parse(authority.ca());
  EXPECT_EQ(ca.name, "lab");
  EXPECT_EQ(ca.role, "");
  EXPECT_TRUE(ca.authority);
  EXPECT_GT(ca.ends, absl::Now() + absl::Hours(24) * 365 * 9);

  const Certificate coordinator = Parse(authority
                                            .Issue(kRoleCoordinator, "train", absl::ZeroDuration(),
                                                   {"train.lab", "10.1.2.3", "localhost"})
                                            .cert);
  EXPECT_EQ(coordinator.name, "train");
  EXPECT_EQ(coordinator.role, kRoleCoordinator);
  EXPECT_EQ(coordinator.issuer, "lab");
  EXPECT_FALSE(coordinator.authority);
  EXPECT_THAT(coordinator.hosts,
              ElementsAre("localhost", "127.0.0.1", "::1", "train.lab", "10.1.2.3"));
  EXPECT_LT(coordinator.begins, absl::Now());
  EXPECT_LT(absl::AbsDuration(coordinator.ends - absl::Now() - absl::Hours(24)), absl::Minutes(1));

  const Certificate user = Parse(authority.Issue(kRoleUser, "Ada Lovelace, née Byron").cert);
  EXPECT_EQ(user.name, "Ada Lovelace, née Byron");
  EXPECT_EQ(user.role, kRoleUser);
  EXPECT_THAT(user.hosts, ElementsAre());
}

TEST(Certificates, AreGoodForTheirPurposeAlone) {
  TestAuthority authority;
  const std::string server = authority.Issue(kRoleCoordinator).cert;
  const std::string worker = authority.Issue(kRoleWorker).cert;
  EXPECT_EQ(Verify(authority.ca(), server, X509_PURPOSE_SSL_SERVER), X509_V_OK);
  EXPECT_EQ(Verify(authority.ca(), server, X509_PURPOSE_SSL_CLIENT), X509_V_ERR_INVALID_PURPOSE);
  EXPECT_EQ(Verify(authority.ca(), worker, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
  EXPECT_EQ(Verify(authority.ca(), worker, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
  EXPECT_EQ(Verify(authority.ca(), authority.Issue(kRoleUser, "a", absl::Hours(48)).cert,
                   X509_PURPOSE_SSL_CLIENT),
            X509_V_ERR_CERT_HAS_EXPIRED);
  TestAuthority stranger;
  EXPECT_NE(Verify(stranger.ca(), worker, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
}

TEST(Certificates, KeysAreForTheirOwnerAlone) {
  TestAuthority authority;
  for (const std::string& key :
       {authority.folder() + "/ca-key.pem", authority.Issue(kRoleUser).key}) {
    struct stat status = {};
    ASSERT_EQ(stat(key.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600) << key;
  }
}

TEST(Certificates, NothingIsWrittenOver) {
  TestAuthority authority;
  const std::string before = ReadFile(authority.ca());
  const absl::Status again = client::MakeAuthority(authority.folder(), "x", absl::Now());
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  EXPECT_EQ(ReadFile(authority.ca()), before);
  const TlsFiles files = authority.Issue(kRoleUser);
  const std::string folder = files.cert.substr(0, files.cert.rfind('/'));
  const std::string cert = ReadFile(files.cert);
  EXPECT_TRUE(absl::IsAlreadyExists(client::IssueCertificate(
      authority.folder(), {.role = kRoleUser, .name = "b"}, folder, absl::Now())));
  EXPECT_EQ(ReadFile(files.cert), cert);
}

TEST(Certificates, BadRequestsAreRefused) {
  TestAuthority authority;
  const TemporaryFolder out;
  const auto refusal = [&](const client::CertificateRequest& request) {
    const absl::Status status =
        client::IssueCertificate(authority.folder(), request, out / "x", absl::Now());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_FALSE(std::filesystem::exists(out / "x"));
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({.role = "boss", .name = "a"}), HasSubstr("--role"));
  EXPECT_THAT(refusal({.role = kRoleUser, .name = ""}), HasSubstr("--name"));
  EXPECT_THAT(refusal({.role = kRoleUser, .name = std::string(65, 'a')}), HasSubstr("--name"));
  EXPECT_THAT(refusal({.role = kRoleUser, .name = "a", .hosts = {"b"}}), HasSubstr("--host"));
  EXPECT_THAT(refusal({.role = kRoleCoordinator, .name = "a", .hosts = {"b:7400"}}),
              HasSubstr("'b:7400'"));
  EXPECT_THAT(refusal({.role = kRoleCoordinator, .name = "a", .hosts = {"b,IP:1.2.3.4"}}),
              HasSubstr("--host"));
  EXPECT_THAT(refusal({.role = kRoleUser, .name = "a", .days = 0}), HasSubstr("--days"));
}

TEST(Certificates, ACertificateThatIsNoAuthoritysSignsNothing) {
  TestAuthority authority;
  const TlsFiles files = authority.Issue(kRoleUser);
  const TemporaryFolder fake;
  std::filesystem::copy(files.cert, fake / "ca.pem");
  std::filesystem::copy(files.key, fake / "ca-key.pem");
  const absl::Status status = client::IssueCertificate(
      fake.path(), {.role = kRoleUser, .name = "eve"}, fake / "out", absl::Now());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("no authority"));
}

TEST(Certificates, OtherTextIsNone) {
  EXPECT_TRUE(absl::IsInvalidArgument(ParseCertificate("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseCertificate("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                                       "-----END CERTIFICATE-----\n")
                                          .status()));
}

}  // namespace
}  // namespace innerloop
