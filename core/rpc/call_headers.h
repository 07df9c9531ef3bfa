// Headers that calls to a coordinator carry.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace innerloop {

// "Bearer SECRET"
inline constexpr char kAuthorizationHeader[] = "authorization";
// kApiVersion of the caller; programs that are not ours may do without.
inline constexpr char kApiVersionHeader[] = "innerloop-api-version";

// Adds what a call of a worker carries, whose streams are too busy for a channel that looks at
// every message.
void AddHeaders(grpc::ClientContext& context);

// A channel whose calls all carry the headers; an empty token: none.
std::shared_ptr<grpc::Channel> MakeChannelWithHeaders(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const grpc::ChannelArguments& arguments, const std::string& token);

}  // namespace innerloop
