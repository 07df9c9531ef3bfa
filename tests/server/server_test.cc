#include "server/server.h"

#include <filesystem>
#include <latch>
#include <thread>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/rpc/channel_arguments.h"
#include "innerloop/v1/training.grpc.pb.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Calls a method with a serialised request, as programs do that know no protocol of ours.
std::string CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(request);
  const auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  EXPECT_TRUE(status.ok()) << method << ": " << status.error_message();
  grpc::Slice whole;
  EXPECT_TRUE(response.DumpToSingleSlice(&whole).ok());
  return {reinterpret_cast<const char*>(whole.begin()), whole.size()};
}

class ServerTest : public ::testing::Test {
 protected:
  Options OptionsFor(const std::string& name) {
    Options options;
    options.state_dir = folder_ / name;
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "";
    return options;
  }
  static v1::ListJobsResponse List(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    v1::ListJobsResponse response;
    const grpc::Status status =
        v1::Training::NewStub(channel)->ListJobs(&context, v1::ListJobsRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  TemporaryFolder folder_;
};

TEST_F(ServerTest, ServesAtThePortThatItFoundAndInItsOwnProcess) {
  const auto server = Server::Create(OptionsFor("state"));
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT((*server)->address(), StartsWith("127.0.0.1:"));
  EXPECT_NE((*server)->address(), "127.0.0.1:0");
  EXPECT_EQ((*server)->metrics_address(), "");
  List(grpc::CreateCustomChannel((*server)->address(), grpc::InsecureChannelCredentials(),
                                 ClientArguments()));
  List((*server)->InProcessChannel());
  (*server)->Stop(absl::Seconds(5));
}

TEST_F(ServerTest, AnswersHealthChecksAndReflection) {
  const auto server = Server::Create(OptionsFor("state"));
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = (*server)->InProcessChannel();
  // HealthCheckResponse { status: SERVING }.
  EXPECT_EQ(CallRaw(channel, "/grpc.health.v1.Health/Check", ""), "\x08\x01");
  // ServerReflectionRequest { list_services: "*" }.
  const std::string services = CallRaw(
      channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  EXPECT_THAT(services, HasSubstr("innerloop.v1.Training"));
  EXPECT_THAT(services, HasSubstr("innerloop.v1.Work"));
}

TEST_F(ServerTest, ASubmittedJobIsThereAfterARestart) {
  std::string id;
  {
    const auto server = Server::Create(OptionsFor("state"));
    ASSERT_TRUE(server.ok()) << server.status();
    v1::SubmitJobRequest request;
    v1::JobSpec& spec = *request.mutable_spec();
    spec.mutable_model()->mutable_mlp()->add_hidden(8);
    spec.mutable_tasks()->mutable_sinusoid();
    spec.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
    spec.set_meta_batch(4);
    spec.set_iterations(10);
    grpc::ClientContext context;
    v1::Job job;
    const grpc::Status status =
        v1::Training::NewStub((*server)->InProcessChannel())->SubmitJob(&context, request, &job);
    ASSERT_TRUE(status.ok()) << status.error_message();
    id = job.id();
  }
  const auto server = Server::Create(OptionsFor("state"));
  ASSERT_TRUE(server.ok()) << server.status();
  const v1::ListJobsResponse jobs = List((*server)->InProcessChannel());
  ASSERT_EQ(jobs.jobs_size(), 1);
  EXPECT_EQ(jobs.jobs(0).id(), id);
  EXPECT_EQ(jobs.jobs(0).state(), v1::JOB_STATE_QUEUED);
}

TEST_F(ServerTest, ASecondOneIsRefusedThePortAndTheFolder) {
  const auto server = Server::Create(OptionsFor("state"));
  ASSERT_TRUE(server.ok()) << server.status();
  Options options = OptionsFor("other");
  options.listen = (*server)->address();
  const absl::Status port = Server::Create(options).status();
  EXPECT_EQ(port.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(port.message()), HasSubstr((*server)->address()));
  EXPECT_FALSE(std::filesystem::exists(options.state_dir)) << "something half-made stays behind";
  const absl::Status folder = Server::Create(OptionsFor("state")).status();
  EXPECT_EQ(folder.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(folder.message()), HasSubstr("in use by another coordinator"));
}

TEST_F(ServerTest, OfTwoThatStartOnANewFolderAtOnceOneServesAndTheFolderIsIts) {
  for (int round = 0; round < 10; ++round) {
    const Options options = OptionsFor(absl::StrCat("state", round));
    std::latch both(2);
    const auto create = [&] {
      both.arrive_and_wait();
      return Server::Create(options);
    };
    absl::StatusOr<std::unique_ptr<Server>> other;
    std::thread thread([&] { other = create(); });
    const absl::StatusOr<std::unique_ptr<Server>> one = create();
    thread.join();
    EXPECT_NE(one.ok(), other.ok());
    EXPECT_EQ((one.ok() ? other : one).status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(std::filesystem::exists(options.state_dir + "/innerloop.db"));
  }
}

TEST_F(ServerTest, AFolderThatWasThereStaysWhenTheServerCannotStart) {
  const auto server = Server::Create(OptionsFor("state"));
  ASSERT_TRUE(server.ok()) << server.status();
  Options options = OptionsFor("there");
  options.listen = (*server)->address();
  ASSERT_TRUE(std::filesystem::create_directory(options.state_dir));
  EXPECT_EQ(Server::Create(options).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(std::filesystem::exists(options.state_dir));
}

TEST_F(ServerTest, ListensBeyondTheMachineOnlyWhenToldThatThisIsMeant) {
  Options options = OptionsFor("state");
  options.listen = "0.0.0.0:0";
  const absl::Status status = Server::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--insecure"));
  options.insecure = true;
  EXPECT_TRUE(Server::Create(options).ok());
  options.listen = "here";
  EXPECT_THAT(std::string(Server::Create(options).status().message()), HasSubstr("--listen"));
}

}  // namespace
}  // namespace innerloop::server
