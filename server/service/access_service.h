// The Access service: bearer tokens.
#pragma once

#include <grpcpp/grpcpp.h>

#include "innerloop/v1/access.grpc.pb.h"
#include "server/storage/token_store.h"

namespace innerloop::server {

// The API over the token store, for callers that the gate let in. gRPC's threads call it.
// Thread-safe.
class AccessService final : public v1::Access::Service {
 public:
  explicit AccessService(TokenStore& tokens) : tokens_(tokens) {}

  grpc::Status CreateToken(grpc::ServerContext* context, const v1::CreateTokenRequest* request,
                           v1::CreateTokenResponse* response) override;
  grpc::Status ListTokens(grpc::ServerContext* context, const v1::ListTokensRequest* request,
                          v1::ListTokensResponse* response) override;
  grpc::Status RevokeToken(grpc::ServerContext* context, const v1::RevokeTokenRequest* request,
                           v1::RevokeTokenResponse* response) override;

 private:
  TokenStore& tokens_;
};

}  // namespace innerloop::server
