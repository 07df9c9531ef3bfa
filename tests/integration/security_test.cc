// TLS, certificates and tokens with the real programs: who is let in, and what the others are told.
#include <sys/stat.h>

#include <csignal>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "client/certificates/authority.h"
#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kBadInput = 2;

using Arguments = std::vector<std::string>;

Arguments Joined(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Flags of the certificate in a folder.
Arguments Files(const std::string& folder) {
  return {"--tls-cert",        folder + "/cert.pem", "--tls-key",
          folder + "/key.pem", "--tls-ca",           folder + "/ca.pem"};
}

std::string AddressOf(Process& coordinator) {
  const std::string line = coordinator.AwaitLine("listening on ");
  const size_t begin = line.find("listening on ") + 13;
  return line.substr(begin, line.find_first_of(", ", begin) - begin);
}

void ExpectOneLine(const Outcome& outcome, const std::string& text) {
  EXPECT_EQ(outcome.exit_code, kBadInput) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(text));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

class Security : public ::testing::Test {
 protected:
  Security() {
    const Outcome made = RunToEnd("innerloop", {"certs", "init", authority_});
    EXPECT_EQ(made.exit_code, 0) << made.err;
  }

  // A folder with a new certificate, as people make it.
  std::string Issue(const std::string& role) {
    std::string out = NewFolder() + "/" + role;
    const Outcome made = RunToEnd("innerloop", {"certs", "issue", authority_, "--role", role,
                                                "--name", "a-" + role, "--out", out});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    EXPECT_THAT(made.out, AllOf(HasSubstr("a-" + role), HasSubstr("issuer")));
    return out;
  }
  // One that ended a day ago.
  std::string IssueExpired(const std::string& role) {
    std::string out = NewFolder() + "/" + role;
    const absl::Status made = client::IssueCertificate(
        authority_, {.role = role, .name = "late", .days = 1}, out, absl::Now() - absl::Hours(48));
    EXPECT_TRUE(made.ok()) << made;
    return out;
  }
  static Arguments CoordinatorArguments(const Arguments& tls,
                                        const std::string& listen = "127.0.0.1:0") {
    return Joined({"--listen", listen, "--metrics-listen", "", "--state-dir", NewFolder()}, tls);
  }
  Outcome Submit(const std::string& address, const Arguments& more, const Arguments& environment) {
    return RunToEnd("innerloop",
                    Joined({"submit", JobPath("sinusoid_maml"), "--watch", "--coordinator", address,
                            "--set", "iterations=20", "--set", "evaluation.skip_final=true"},
                           more),
                    environment);
  }

  const std::string authority_ = NewFolder() + "/authority";
};

TEST_F(Security, WorkersAndUsersWithCertificatesAndTokensDoAJob) {
  Process coordinator("innerloop-coordinator", CoordinatorArguments(Files(Issue("coordinator"))),
                      {}, Output::kPipe);
  const std::string address = AddressOf(coordinator);
  const std::string user = Issue("user");
  const std::string ca = "INNERLOOP_TLS_CA=" + user + "/ca.pem";
  Process worker("innerloop-worker",
                 Joined({"--coordinator", address, "--slots", "1"}, Files(Issue("worker"))));
  EXPECT_EQ(Submit(address, {"--tls-dir", user}, {}).exit_code, 0);

  const auto token = [&](const std::string& role) {
    const Outcome made = RunToEnd(
        "innerloop",
        {"token", "create", "ci", "--role", role, "--coordinator", address, "--expires", "1d"},
        {"INNERLOOP_TLS_DIR=" + user});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return "INNERLOOP_TOKEN=" + made.out.substr(0, made.out.find('\n'));
  };
  const std::string user_token = token("user");
  EXPECT_EQ(Submit(address, {}, {ca, user_token}).exit_code, 0);

  const std::string viewer_token = token("viewer");
  const Arguments list = {"list", "--coordinator", address};
  EXPECT_THAT(RunToEnd("innerloop", list, {ca, viewer_token}).out, HasSubstr("SUCCEEDED"));
  ExpectOneLine(Submit(address, {}, {ca, viewer_token}), "SubmitJob needs the role user");
  ExpectOneLine(
      RunToEnd("innerloop", {"token", "list", "--coordinator", address}, {ca, user_token}),
      "needs a certificate of the role user");
  ExpectOneLine(RunToEnd("innerloop", list, {ca}), "INNERLOOP_TOKEN");
  ExpectOneLine(RunToEnd("innerloop", list, {ca, "INNERLOOP_TOKEN=ilt_guess"}),
                "wrong or was revoked");

  // A job that does not end.
  const Outcome waiting =
      RunToEnd("innerloop", {"submit", JobPath("sinusoid_maml"), "--coordinator", address,
                             "--tls-dir", user, "--set", "iterations=100000000", "--format=json"});
  const std::string job = nlohmann::json::parse(waiting.out).at("job");
  Process watch("innerloop", {"watch", job, "--coordinator", address}, {ca, viewer_token},
                Output::kPipe);
  Process log("innerloop", {"logs", job, "--follow", "--coordinator", address}, {ca, viewer_token},
              Output::kPipe);
  EXPECT_NE(watch.AwaitLine("meta-loss"), "");
  EXPECT_NE(log.AwaitLine("initialised"), "");

  const Outcome tokens = RunToEnd(
      "innerloop", {"token", "list", "--coordinator", address, "--tls-dir", user, "--format=json"});
  const nlohmann::json json = nlohmann::json::parse(tokens.out);
  ASSERT_EQ(json.size(), 2) << tokens.out;
  EXPECT_EQ(json[0].at("role"), "user");
  for (const auto& made : json) {
    EXPECT_EQ(RunToEnd("innerloop", {"token", "revoke", made.at("id"), "--coordinator", address,
                                     "--tls-dir", user})
                  .exit_code,
              0);
  }
  ExpectOneLine(RunToEnd("innerloop", list, {ca, viewer_token}), "wrong or was revoked");
  for (Process* process : {&watch, &log}) {
    const Outcome outcome = process->Wait();
    EXPECT_EQ(outcome.exit_code, kBadInput);
    EXPECT_THAT(outcome.err, HasSubstr("wrong or was revoked"));
  }
}

TEST_F(Security, AWorkerThatIsNotLetInSaysWhyAndTriesOn) {
  Process coordinator("innerloop-coordinator", CoordinatorArguments(Files(Issue("coordinator"))),
                      {}, Output::kPipe);
  const std::string address = AddressOf(coordinator);
  const Arguments worker = {"--coordinator", address, "--slots", "1"};
  Process plaintext("innerloop-worker", worker);
  EXPECT_THAT(plaintext.AwaitLine("trying on"), HasSubstr("speaks TLS"));
  Process user("innerloop-worker", Joined(worker, Files(Issue("user"))));
  EXPECT_THAT(user.AwaitLine("trying on"), HasSubstr("needs a certificate of the role worker"));
  for (Process* process : {&plaintext, &user}) {
    process->Signal(SIGTERM);
    EXPECT_EQ(process->Wait().exit_code, 0);
  }
}

TEST_F(Security, WhatIsWrongWithAConnectionIsSaidInOneLine) {
  const std::string user = Issue("user");
  const auto list = [](const std::string& address, const Arguments& more) {
    return RunToEnd("innerloop", Joined({"list", "--coordinator", address}, more));
  };
  {
    Process coordinator("innerloop-coordinator", CoordinatorArguments(Files(Issue("coordinator"))),
                        {}, Output::kPipe);
    const std::string address = AddressOf(coordinator);
    ExpectOneLine(list(address, {}), "speaks TLS");
    ExpectOneLine(list(address, {"--tls-dir", IssueExpired("user")}), "expired on");
    const std::string other = NewFolder() + "/other";
    ASSERT_EQ(RunToEnd("innerloop", {"certs", "init", other}).exit_code, 0);
    ExpectOneLine(list(address, {"--tls-ca", other + "/ca.pem"}), "is not from the authority in");
  }
  {
    Process coordinator("innerloop-coordinator",
                        CoordinatorArguments(Files(Issue("coordinator")), "127.0.0.2:0"), {},
                        Output::kPipe);
    ExpectOneLine(list(AddressOf(coordinator), {"--tls-dir", user}),
                  "is for localhost, 127.0.0.1, ::1, not for '127.0.0.2'");
  }
  {
    Process coordinator("innerloop-coordinator", CoordinatorArguments({}), {}, Output::kPipe);
    ExpectOneLine(list(AddressOf(coordinator), {"--tls-dir", user}), "speaks no TLS");
  }
}

TEST_F(Security, FilesThatCannotBeUsedAreNamedAtTheStart) {
  const std::string folder = Issue("coordinator");
  const auto coordinator = [](const Arguments& tls) {
    return RunToEnd("innerloop-coordinator", CoordinatorArguments(tls));
  };
  ExpectOneLine(coordinator({"--tls-cert", folder + "/cert.pem"}), "--tls-key is missing");
  const std::string nothing = NewFolder();
  ExpectOneLine(coordinator(Files(nothing)), nothing + "/ca.pem");
  ExpectOneLine(coordinator(Files(IssueExpired("coordinator"))), "expired on");
  chmod((folder + "/key.pem").c_str(), 0644);
  ExpectOneLine(coordinator(Files(folder)), "chmod 600");
  ExpectOneLine(
      RunToEnd("innerloop-worker", Joined({"--coordinator", "127.0.0.1:1"}, Files(folder))),
      "chmod 600");
  ExpectOneLine(RunToEnd("innerloop", {"list", "--tls-dir", NewFolder()}), "ca.pem");
}

TEST_F(Security, ATokenDoesNotTravelInPlaintext) {
  ExpectOneLine(RunToEnd("innerloop", {"list", "--coordinator", "192.0.2.1:7400"},
                         {"INNERLOOP_TOKEN=ilt_secret", "HOME=/nowhere"}),
                "for everybody to read");
}

TEST_F(Security, UnderTlsACoordinatorListensWhereverItIsTold) {
  Process coordinator("innerloop-coordinator",
                      CoordinatorArguments(Files(Issue("coordinator")), "0.0.0.0:0"), {},
                      Output::kPipe);
  const std::string address = AddressOf(coordinator);
  EXPECT_EQ(RunToEnd("innerloop",
                     {"list", "--coordinator", "localhost" + address.substr(address.rfind(':')),
                      "--tls-dir", Issue("viewer")})
                .exit_code,
            0);
}

TEST_F(Security, TrainingOnThisMachineNeedsNoneOfIt) {
  const Outcome outcome =
      RunToEnd("innerloop",
               TrainArguments("sinusoid_maml", NewFolder(),
                              {"--workers", "1", "--set", "iterations=5", "--set",
                               "evaluation.skip_final=true", "--tls-dir", "/nowhere"}),
               {"INNERLOOP_TOKEN=ilt_secret"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

}  // namespace
}  // namespace innerloop::integration
