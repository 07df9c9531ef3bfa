#include "core/rpc/call_headers.h"

#include <utility>
#include <vector>

#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_interceptor.h>

#include "absl/strings/str_cat.h"
#include "core/support/version.h"

namespace innerloop {
namespace {

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;

class HeaderWriter final : public Interceptor {
 public:
  explicit HeaderWriter(const std::string& authorization) : authorization_(authorization) {}
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      auto* const headers = methods->GetSendInitialMetadata();
      headers->emplace(kApiVersionHeader, absl::StrCat(kApiVersion));
      if (!authorization_.empty()) {
        headers->emplace(kAuthorizationHeader, authorization_);
      }
    }
    methods->Proceed();
  }

 private:
  const std::string& authorization_;
};

// Owned by its channel, which outlives its calls.
class HeaderWriters final : public ClientInterceptorFactoryInterface {
 public:
  explicit HeaderWriters(std::string authorization) : authorization_(std::move(authorization)) {}
  Interceptor* CreateClientInterceptor(ClientRpcInfo* /*call*/) override {
    return new HeaderWriter(authorization_);
  }

 private:
  const std::string authorization_;
};

}  // namespace

void AddHeaders(grpc::ClientContext& context) {
  context.AddMetadata(kApiVersionHeader, absl::StrCat(kApiVersion));
}

std::shared_ptr<grpc::Channel> MakeChannelWithHeaders(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const grpc::ChannelArguments& arguments, const std::string& token) {
  std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>> writers;
  writers.push_back(
      std::make_unique<HeaderWriters>(token.empty() ? "" : absl::StrCat("Bearer ", token)));
  return grpc::experimental::CreateCustomChannelWithInterceptors(address, credentials, arguments,
                                                                 std::move(writers));
}

}  // namespace innerloop
