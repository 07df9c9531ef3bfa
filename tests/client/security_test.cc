#include "client/api/security.h"

#include <filesystem>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/client/test_files.h"
#include "tests/core/rpc/test_certificates.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kHere[] = "127.0.0.1:7400";
constexpr char kThere[] = "train.lab:7400";

class SecurityTest : public ::testing::Test {
 protected:
  SecurityTest() {
    for (const char* file : {"home/ca.pem", "full/ca.pem", "full/cert.pem", "full/key.pem"}) {
      WriteFile(folder_ / file, "text");
    }
  }
  // The authority's file that is chosen, or the refusal.
  static std::string Ca(const SecurityOptions& options, const std::string& coordinator) {
    const auto security = Resolve(options, coordinator);
    return security.ok() ? security->tls.ca : std::string(security.status().message());
  }

  TemporaryFolder folder_;
};

TEST_F(SecurityTest, FilesComeFromFlagsThenAFolderThenHome) {
  SecurityOptions options = {.home_dir = folder_ / "home"};
  EXPECT_EQ(Ca(options, kThere), folder_ / "home/ca.pem");
  EXPECT_EQ(Ca(options, kHere), "") << "this machine's own coordinators speak plaintext";
  options.tls_dir = folder_ / "full";
  EXPECT_EQ(Ca(options, kThere), folder_ / "full/ca.pem");
  EXPECT_EQ(Ca(options, kHere), folder_ / "full/ca.pem");
  options.tls.ca = "given.pem";
  EXPECT_EQ(Ca(options, kThere), "given.pem");
  EXPECT_EQ(Ca({.home_dir = folder_ / "nothing"}, kThere), "");
  EXPECT_EQ(Ca({}, kThere), "");
}

TEST_F(SecurityTest, AFoldersCertificateIsUsedWhereThereIsOne) {
  const auto full = Resolve({.tls_dir = folder_ / "full"}, kThere);
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->tls.cert, folder_ / "full/cert.pem");
  EXPECT_EQ(full->tls.key, folder_ / "full/key.pem");
  const auto bare = Resolve({.tls_dir = folder_ / "home"}, kThere);
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->tls.cert, "");
}

TEST_F(SecurityTest, ATokenGoesOverTlsAlone) {
  const SecurityOptions options = {.token = "ilt_abc\n"};
  const auto here = Resolve(options, kHere);
  ASSERT_TRUE(here.ok());
  EXPECT_THAT(here->token, IsEmpty());
  EXPECT_THAT(Ca(options, kThere), AllOf(HasSubstr(kThere), HasSubstr("--tls-ca")));
  const auto secured = Resolve({.tls = {.ca = "given.pem"}, .token = "ilt_abc\n"}, kThere);
  ASSERT_TRUE(secured.ok());
  EXPECT_EQ(secured->token, "ilt_abc");
}

TEST_F(SecurityTest, ATokensFileIsReadUnlessEverybodyMay) {
  const std::string file = folder_ / "token";
  WriteFile(file, "ilt_filed\n");
  chmod(file.c_str(), 0600);
  SecurityOptions options = {.tls = {.ca = "given.pem"}, .token = "ilt_env", .token_file = file};
  const auto security = Resolve(options, kThere);
  ASSERT_TRUE(security.ok()) << security.status();
  EXPECT_EQ(security->token, "ilt_filed");
  chmod(file.c_str(), 0604);
  EXPECT_THAT(Ca(options, kThere), HasSubstr("chmod 600 " + file));
  options.token_file = folder_ / "missing";
  EXPECT_THAT(Ca(options, kThere), HasSubstr("missing"));
  options.token_file.clear();
  options.token = "two words";
  EXPECT_THAT(Ca(options, kThere), HasSubstr("INNERLOOP_TOKEN holds no token"));
}

TEST_F(SecurityTest, BadFilesStopACallBeforeItLeaves) {
  const Outcome outcome =
      RunProgram({"list", "--coordinator", "127.0.0.1:1", "--tls-dir", folder_ / "full"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("full/ca.pem' holds no certificate"));
}

TEST_F(SecurityTest, CertificatesAreMadeAndShown) {
  const std::string authority = folder_ / "authority";
  const Outcome made = RunProgram({"certs", "init", authority, "--name", "lab"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, AllOf(HasSubstr("lab"), HasSubstr("authority")));
  EXPECT_EQ(RunProgram({"certs", "init", authority}).code, 2) << "there is one";
  const std::string out = folder_ / "coordinator";
  const Outcome issued =
      RunProgram({"certs", "issue", authority, "--role", "coordinator", "--name", "c", "--host",
                  "train.lab", "--host", "10.0.0.7", "--days", "30", "--out", out});
  EXPECT_EQ(issued.code, 0) << issued.err;
  const Outcome shown = RunProgram({"certs", "show", out + "/cert.pem", "--format=json"});
  const json facts = json::parse(shown.out);
  EXPECT_EQ(facts.at("role"), "coordinator");
  EXPECT_EQ(facts.at("issuer"), "lab");
  EXPECT_EQ(facts.at("valid_now"), true);
  EXPECT_THAT(facts.at("hosts").get<std::vector<std::string>>(),
              ElementsAre("localhost", "127.0.0.1", "::1", "train.lab", "10.0.0.7"));
  EXPECT_TRUE(std::filesystem::exists(out + "/ca.pem"));
  const Outcome bad = RunProgram({"certs", "show", folder_ / "full/ca.pem"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("no certificate"));
}

TEST_F(SecurityTest, NamesOfCertificatesAreUtf8) {
  const std::string authority = folder_ / "authority";
  ASSERT_EQ(RunProgram({"certs", "init", authority, "--name", "J\xc3\xb6rg"}).code, 0);
  const Outcome latin = RunProgram({"certs", "issue", authority, "--role", "user", "--name",
                                    "J\xf6rg", "--out", folder_ / "out"});
  EXPECT_EQ(latin.code, 2);
  EXPECT_EQ(latin.err, "innerloop: --name is not UTF-8, which certificates' names are in\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  const Outcome issued = RunProgram({"certs", "issue", authority, "--role", "user", "--name",
                                     "J\xc3\xb6rg", "--out", folder_ / "out", "--format=json"});
  EXPECT_EQ(json::parse(issued.out).at("name"), "J\xc3\xb6rg");
}

TEST_F(SecurityTest, AKeyIsLeftWithItsCertificateOrNotAtAll) {
  WriteFile(folder_ / "half/ca.pem", "another's");
  const Outcome made = RunProgram({"certs", "init", folder_ / "half"});
  EXPECT_EQ(made.code, 2);
  EXPECT_THAT(made.err, HasSubstr("half/ca.pem' is there already"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "half/ca-key.pem"));
  EXPECT_EQ(ReadFile(folder_ / "half/ca.pem"), "another's");

  ASSERT_EQ(RunProgram({"certs", "init", folder_ / "authority"}).code, 0);
  WriteFile(folder_ / "out/cert.pem", "another's");
  const Outcome issued = RunProgram({"certs", "issue", folder_ / "authority", "--role", "user",
                                     "--name", "u", "--out", folder_ / "out"});
  EXPECT_EQ(issued.code, 2);
  EXPECT_THAT(issued.err, HasSubstr("out/cert.pem' is there already"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/key.pem"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/ca.pem"));
  EXPECT_EQ(ReadFile(folder_ / "out/cert.pem"), "another's");
}

TEST_F(SecurityTest, ALifetimeOfATokenIsATime) {
  for (const char* text : {"soon", "0d", "90", ""}) {
    const Outcome outcome = RunProgram({"token", "create", "ci", "--role", "user", "--expires",
                                        text, "--coordinator", "127.0.0.1:1"});
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_THAT(outcome.err, HasSubstr("12h")) << text;
  }
}

}  // namespace
}  // namespace innerloop::client
