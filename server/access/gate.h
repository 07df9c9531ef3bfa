// Lets calls in or sends them away, by certificate or bearer token.
#pragma once

#include <string>

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/rpc/checked_credentials.h"
#include "innerloop/v1/access.pb.h"
#include "server/access/methods.h"
#include "server/storage/token_store.h"

namespace innerloop::server {

// Checks every call of the network before its service sees it: the version of the API that the
// caller speaks, and that it has the role which the method needs (methods.h). Owned by the server,
// called from gRPC's threads; thread-safe.
class Gate {
 public:
  enum class Mode {
    // Certificates and tokens decide.
    kTls,
    // Plaintext that only this machine reaches: everybody may do everything.
    kLoopback,
    // Plaintext for other machines: everybody may do everything but make tokens, which would be
    // good for later, too.
    kOpen,
  };
  Gate(TokenStore& tokens, Mode mode) : tokens_(tokens), mode_(mode) {}

  // FAILED_PRECONDITION names both versions; UNAUTHENTICATED: nobody we know; PERMISSION_DENIED:
  // somebody of another role.
  absl::Status Check(const IncomingCall& call);

  // The role, USER or VIEWER, of a call that was let in to a method that needs either.
  v1::Role RoleOf(const grpc::ServerContextBase& context);
  // For calls that last: whether one that was let in to a method that needs a viewer still would
  // be. Its token may have been revoked meanwhile, or have expired; who came without stays in.
  absl::Status CheckAgain(const grpc::ServerContextBase& context);

 private:
  struct Caller {
    // UNSPECIFIED: nobody we know.
    v1::Role role = v1::ROLE_UNSPECIFIED;
    // For people: "the certificate 'ada'".
    std::string who;
  };
  absl::StatusOr<Caller> ByToken(absl::string_view authorization);
  absl::Status CheckRole(Need need, const IncomingCall& call);

  TokenStore& tokens_;
  const Mode mode_;
};

}  // namespace innerloop::server
