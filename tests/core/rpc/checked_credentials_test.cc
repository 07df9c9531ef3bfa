// Calls of every kind over real connections, with and without TLS.
#include "core/rpc/checked_credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/rpc/call_headers.h"
#include "core/rpc/channel_arguments.h"
#include "core/rpc/explain_connection.h"
#include "core/support/version.h"
#include "innerloop/v1/training.grpc.pb.h"
#include "innerloop/v1/work.grpc.pb.h"
#include "tests/core/rpc/test_certificates.h"

namespace innerloop {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(10);

// What a check saw.
struct Seen {
  std::string method;
  std::string authorization;
  std::string version;
  std::string certificate;
};

// A server whose services implement nothing, so that a call that is let in ends as UNIMPLEMENTED.
class TestServer {
 public:
  explicit TestServer(const TlsFiles& files, const std::string& host = "127.0.0.1") {
    auto credentials = MakeServerCredentials(files, [this](const IncomingCall& call) {
      const absl::MutexLock lock(&mu_);
      seen_ = {std::string(call.method), std::string(call.authorization),
               std::string(call.api_version), std::string(call.certificate)};
      return answer_;
    });
    EXPECT_TRUE(credentials.ok()) << credentials.status();
    grpc::ServerBuilder builder;
    SetServerArguments(builder);
    int port = 0;
    builder.AddListeningPort(host + ":0", *credentials, &port);
    builder.RegisterService(&training_);
    builder.RegisterService(&work_);
    server_ = builder.BuildAndStart();
    EXPECT_NE(port, 0);
    address_ = absl::StrCat(host, ":", port);
  }

  const std::string& address() const { return address_; }
  // As callers name it.
  void SetHost(const std::string& host) {
    address_ = absl::StrCat(host, address_.substr(address_.rfind(':')));
  }
  Seen seen() const {
    const absl::MutexLock lock(&mu_);
    return seen_;
  }
  void SetAnswer(const absl::Status& answer) {
    const absl::MutexLock lock(&mu_);
    answer_ = answer;
  }

  std::shared_ptr<grpc::Channel> Channel(const TlsFiles& files, const std::string& token = "") {
    const auto credentials = MakeChannelCredentials(files);
    EXPECT_TRUE(credentials.ok()) << credentials.status();
    return MakeChannelWithHeaders(address_, *credentials, ClientArguments(), token);
  }
  grpc::Status ListJobs(const TlsFiles& files, const std::string& token = "") {
    grpc::ClientContext context;
    v1::ListJobsResponse response;
    return v1::Training::NewStub(Channel(files, token))->ListJobs(&context, {}, &response);
  }

 private:
  mutable absl::Mutex mu_;
  Seen seen_ ABSL_GUARDED_BY(mu_);
  absl::Status answer_ ABSL_GUARDED_BY(mu_);
  v1::Training::Service training_;
  v1::Work::CallbackService work_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

class CheckedCredentialsTest : public ::testing::Test {
 protected:
  std::string Explain(const TestServer& server, const TlsFiles& files) {
    const absl::Status why = ExplainConnection(server.address(), files, kPatience);
    EXPECT_TRUE(why.ok() || absl::IsInvalidArgument(why)) << why;
    return std::string(why.message());
  }

  TestAuthority authority_;
};

TEST_F(CheckedCredentialsTest, TheCheckSeesMethodHeadersAndCertificate) {
  TestServer server(authority_.Issue(kRoleCoordinator));
  const TlsFiles files = authority_.Issue(kRoleUser, "ada");
  EXPECT_EQ(server.ListJobs(files, "secret").error_code(), grpc::StatusCode::UNIMPLEMENTED);
  const Seen seen = server.seen();
  EXPECT_EQ(seen.method, "/innerloop.v1.Training/ListJobs");
  EXPECT_EQ(seen.authorization, "Bearer secret");
  EXPECT_EQ(seen.version, absl::StrCat(kApiVersion));
  const auto certificate = ParseCertificate(seen.certificate);
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  EXPECT_EQ(certificate->name, "ada");
  EXPECT_EQ(certificate->role, kRoleUser);
}

TEST_F(CheckedCredentialsTest, AClientWithoutACertificateComesAsFarAsTheCheck) {
  TestServer server(authority_.Issue(kRoleCoordinator));
  EXPECT_EQ(server.ListJobs({.ca = authority_.ca()}).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(server.seen().certificate, IsEmpty());
  EXPECT_THAT(server.seen().authorization, IsEmpty());
}

TEST_F(CheckedCredentialsTest, PlaintextCallsAreCheckedToo) {
  TestServer server({});
  EXPECT_EQ(server.ListJobs({}).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(server.seen().version, absl::StrCat(kApiVersion));
  server.SetAnswer(absl::FailedPreconditionError("no"));
  EXPECT_EQ(server.ListJobs({}).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(CheckedCredentialsTest, ARefusalReachesCallersOfEveryKind) {
  TestServer server(authority_.Issue(kRoleCoordinator));
  const TlsFiles files = authority_.Issue(kRoleWorker);
  server.SetAnswer(absl::PermissionDeniedError("go away"));
  const auto expect = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(status.error_message(), "go away");
  };
  expect(server.ListJobs(files));
  const auto training = v1::Training::NewStub(server.Channel(files));
  {
    grpc::ClientContext context;
    const auto stream = training->WatchJob(&context, {});
    v1::JobEvents events;
    EXPECT_FALSE(stream->Read(&events));
    expect(stream->Finish());
  }
  {
    grpc::ClientContext context;
    v1::Job job;
    const auto stream = training->UploadCheckpoint(&context, &job);
    stream->WritesDone();
    expect(stream->Finish());
  }
  {
    grpc::ClientContext context;
    const auto stream = v1::Work::NewStub(server.Channel(files))->Connect(&context);
    v1::CoordinatorMessage message;
    EXPECT_FALSE(stream->Read(&message));
    expect(stream->Finish());
    EXPECT_EQ(server.seen().method, "/innerloop.v1.Work/Connect");
  }
}

TEST_F(CheckedCredentialsTest, NothingIsWrongWithAGoodConnection) {
  TestServer server(authority_.Issue(kRoleCoordinator));
  EXPECT_THAT(Explain(server, authority_.Issue(kRoleUser)), IsEmpty());
  EXPECT_THAT(Explain(server, {.ca = authority_.ca()}), IsEmpty());
  TestServer plaintext({});
  EXPECT_THAT(Explain(plaintext, {}), IsEmpty());
  EXPECT_TRUE(ExplainConnection("127.0.0.1:1", {}, kPatience).ok()) << "nobody is there";
}

TEST_F(CheckedCredentialsTest, TlsAgainstPlaintextIsExplained) {
  TestServer tls(authority_.Issue(kRoleCoordinator));
  EXPECT_EQ(tls.ListJobs({}).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Explain(tls, {}), AllOf(HasSubstr(tls.address()), HasSubstr("give --tls-ca")));
  TestServer plaintext({});
  const TlsFiles files = authority_.Issue(kRoleUser);
  EXPECT_EQ(plaintext.ListJobs(files).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Explain(plaintext, files), HasSubstr("speaks no TLS"));
}

TEST_F(CheckedCredentialsTest, AServerOfAnotherAuthorityIsExplained) {
  TestAuthority stranger("a stranger");
  TestServer server(stranger.Issue(kRoleCoordinator));
  const TlsFiles files = {.ca = authority_.ca()};
  EXPECT_EQ(server.ListJobs(files).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Explain(server, files), AllOf(HasSubstr("'a stranger'"), HasSubstr(authority_.ca())));
}

TEST_F(CheckedCredentialsTest, AClientOfAnotherAuthorityIsExplained) {
  TestAuthority stranger("a stranger");
  TestServer server(authority_.Issue(kRoleCoordinator));
  TlsFiles files = stranger.Issue(kRoleUser);
  files.ca = authority_.ca();
  EXPECT_EQ(server.ListJobs(files).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Explain(server, files), AllOf(HasSubstr("does not take"), HasSubstr(files.cert)));
}

TEST_F(CheckedCredentialsTest, AWorkersCertificateIsNoServers) {
  // Its name is a host's; what it is for decides.
  const TlsFiles files = authority_.Issue(kRoleWorker, "localhost");
  const absl::Status refused =
      MakeServerCredentials(files, [](const IncomingCall&) { return absl::OkStatus(); }).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr(files.cert), HasSubstr("is of a worker, not of a coordinator")));

  // A server of somebody who does not look.
  const absl::StatusOr<TlsTexts> texts = ReadTlsFiles(files);
  ASSERT_TRUE(texts.ok()) << texts.status();
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs = {{texts->key, texts->cert}};
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
  v1::Training::Service training;
  builder.RegisterService(&training);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const absl::Status why =
      ExplainConnection(absl::StrCat("localhost:", port), {.ca = authority_.ca()}, kPatience);
  EXPECT_THAT(std::string(why.message()), HasSubstr("is of a worker, not of a coordinator"));
}

TEST_F(CheckedCredentialsTest, AServerByAnotherNameIsExplained) {
  // Loopback has many addresses, of which certificates name one.
  TestServer server(authority_.Issue(kRoleCoordinator, "c", absl::ZeroDuration(), {"train.lab"}),
                    "127.0.0.2");
  const TlsFiles files = {.ca = authority_.ca()};
  EXPECT_EQ(server.ListJobs(files).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Explain(server, files),
              AllOf(HasSubstr("127.0.0.1, ::1, train.lab"), HasSubstr("--host 127.0.0.2")));
}

}  // namespace
}  // namespace innerloop
