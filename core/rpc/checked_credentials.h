// A server's credentials under which every call is checked before its service sees it.
#pragma once

#include <functional>
#include <memory>

#include <grpcpp/security/server_credentials.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/rpc/credentials.h"

namespace innerloop {

// What is known of a call when it comes in. The views last as long as the check.
struct IncomingCall {
  // "/innerloop.v1.Training/GetJob"
  absl::string_view method;
  // Headers; empty: absent.
  absl::string_view authorization;
  absl::string_view api_version;
  // PEM of the client's certificate, which the authority signed; empty: none.
  absl::string_view certificate;
};

// The status of a call that is refused is what the client gets. Called from gRPC's threads for
// calls of every kind, to every service and to none, so it must be quick and thread-safe.
using CallCheck = std::function<absl::Status(const IncomingCall&)>;

// Plaintext without files. With all three TLS (at least 1.2): clients are asked for a certificate
// and may have none, but what they show must come from the authority and be valid. INVALID_ARGUMENT
// as ReadTlsFiles has it.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsFiles& files, CallCheck check);

}  // namespace innerloop
