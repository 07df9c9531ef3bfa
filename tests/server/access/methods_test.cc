#include "server/access/methods.h"

#include <regex>
#include <set>
#include <string>

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/server.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::server {
namespace {

using ::testing::IsSupersetOf;

// Names of the services that a coordinator has, as its reflection service tells.
std::set<std::string> ServicesOf(Server& server) {
  grpc::GenericStub stub(server.InProcessChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice request("\x3a\x01*");  // list_services: "*"
  const auto call = stub.PrepareUnaryCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      grpc::ByteBuffer(&request, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  EXPECT_TRUE(status.ok()) << status.error_message();
  grpc::Slice slice;
  EXPECT_TRUE(response.DumpToSingleSlice(&slice).ok());
  const std::string bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
  const std::regex name(R"([a-z0-9]+(\.[a-z0-9]+)+\.[A-Z][A-Za-z]+)");
  std::set<std::string> services;
  for (std::sregex_iterator it(bytes.begin(), bytes.end(), name), end; it != end; ++it) {
    services.insert(it->str());
  }
  return services;
}

TEST(Methods, EveryMethodThatIsServedIsInTheTable) {
  const TemporaryFolder folder;
  Options options;
  options.state_dir = folder / "state";
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "";
  const auto server = Server::Create(options);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::set<std::string> services = ServicesOf(**server);
  EXPECT_THAT(services, IsSupersetOf({"innerloop.v1.Access", "innerloop.v1.Training",
                                      "innerloop.v1.Work", "grpc.health.v1.Health"}));
  for (const std::string& name : services) {
    const auto* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    // gRPC's own are known without descriptors.
    ASSERT_TRUE(service != nullptr || name.rfind("grpc.", 0) == 0) << name;
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      EXPECT_TRUE(HasNeed(absl::StrCat("/", name, "/", service->method(i)->name())))
          << name << "." << service->method(i)->name() << " needs a row in methods.cc";
    }
  }
  EXPECT_TRUE(HasNeed("/grpc.health.v1.Health/Check"));
  EXPECT_TRUE(HasNeed("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
}

TEST(Methods, WhatChangesSomethingIsForUsers) {
  for (const char* method : {"SubmitJob", "CancelJob", "DeleteJob", "UploadDataSet",
                             "DeleteDataSet", "ReviseJob", "Evaluate"}) {
    EXPECT_EQ(NeedOf(absl::StrCat("/innerloop.v1.Training/", method)), Need::kUser) << method;
  }
  for (const char* method : {"GetJob", "ListJobs", "WatchJob", "DownloadCheckpoint"}) {
    EXPECT_EQ(NeedOf(absl::StrCat("/innerloop.v1.Training/", method)), Need::kViewer) << method;
  }
}

TEST(Methods, WhatIsNotInTheTableIsClosed) {
  EXPECT_EQ(NeedOf("/innerloop.v1.Training/NotThere"), Need::kUserCertificate);
  EXPECT_EQ(NeedOf(""), Need::kUserCertificate);
}

}  // namespace
}  // namespace innerloop::server
