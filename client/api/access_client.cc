#include "client/api/access_client.h"

#include "core/support/status_macros.h"

namespace innerloop::client {

// Repeated, it could make a second token whose secret nobody ever saw.
absl::StatusOr<v1::CreateTokenResponse> AccessClient::Create(const std::string& name, v1::Role role,
                                                             absl::Duration lifetime) {
  v1::CreateTokenRequest request;
  request.set_name(name);
  request.set_role(role);
  request.set_lifetime_seconds(absl::ToDoubleSeconds(lifetime));
  return connection_.Call(*stub_, &v1::Access::Stub::CreateToken, request,
                          Connection::Repeat::kNever, connection_.options().call_deadline);
}

absl::StatusOr<std::vector<v1::Token>> AccessClient::List() {
  INNERLOOP_ASSIGN_OR_RETURN(
      const v1::ListTokensResponse response,
      connection_.Call(*stub_, &v1::Access::Stub::ListTokens, v1::ListTokensRequest(),
                       Connection::Repeat::kWhileAway, connection_.options().call_deadline));
  return std::vector<v1::Token>(response.tokens().begin(), response.tokens().end());
}

absl::Status AccessClient::Revoke(const std::string& id) {
  v1::RevokeTokenRequest request;
  request.set_id(id);
  return connection_
      .Call(*stub_, &v1::Access::Stub::RevokeToken, request, Connection::Repeat::kNever,
            connection_.options().call_deadline)
      .status();
}

}  // namespace innerloop::client
