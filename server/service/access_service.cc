#include "server/service/access_service.h"

#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"
#include "server/service/request_checks.h"

namespace innerloop::server {
namespace {

// A hundred years: beyond it there is no date for when a token expires.
constexpr double kMostSeconds = 100 * 365.25 * 86400;

absl::Status Check(const v1::CreateTokenRequest& request) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequired("name", request.name(), kMaxNameLength));
  if (request.role() != v1::ROLE_VIEWER && request.role() != v1::ROLE_USER) {
    return absl::InvalidArgumentError("role must be viewer or user: workers have certificates");
  }
  const double seconds = request.lifetime_seconds();
  // Not a number fails, too.
  if (!(seconds == 0 || (seconds >= 1 && seconds <= kMostSeconds))) {
    return absl::InvalidArgumentError(
        absl::StrCat("lifetime_seconds is ", seconds,
                     "; 0 (for ever) or 1 to a hundred years' seconds are right"));
  }
  return absl::OkStatus();
}

}  // namespace

grpc::Status AccessService::CreateToken(grpc::ServerContext* /*context*/,
                                        const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) {
  if (const absl::Status right = Check(*request); !right.ok()) {
    return ToGrpc(right);
  }
  absl::StatusOr<TokenStore::Created> created =
      tokens_.Create(request->name(), request->role(), absl::Seconds(request->lifetime_seconds()));
  if (!created.ok()) {
    return ToGrpc(created.status());
  }
  spdlog::info("token {} ('{}') is made", created->token.id(), created->token.name());
  *response->mutable_token() = std::move(created->token);
  response->set_secret(created->secret);
  return grpc::Status::OK;
}

grpc::Status AccessService::ListTokens(grpc::ServerContext* /*context*/,
                                       const v1::ListTokensRequest* /*request*/,
                                       v1::ListTokensResponse* response) {
  for (v1::Token& token : tokens_.List()) {
    *response->add_tokens() = std::move(token);
  }
  return grpc::Status::OK;
}

grpc::Status AccessService::RevokeToken(grpc::ServerContext* /*context*/,
                                        const v1::RevokeTokenRequest* request,
                                        v1::RevokeTokenResponse* /*response*/) {
  const absl::Status revoked = tokens_.Revoke(request->id());
  if (revoked.ok()) {
    spdlog::info("token {} is revoked", request->id());
  }
  return ToGrpc(revoked);
}

}  // namespace innerloop::server
