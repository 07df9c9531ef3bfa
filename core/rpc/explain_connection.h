#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/rpc/credentials.h"

namespace innerloop {

// gRPC says of a connection that was not made little more than that. This makes one of its own to
// find out why: INVALID_ARGUMENT says in one line what is wrong with the certificates of either
// side, or that one side speaks TLS and the other does not. OK when nobody answers at `address`,
// or when nothing is wrong with how this side calls. Blocks for at most about `patience`.
absl::Status ExplainConnection(const std::string& address, const TlsFiles& files,
                               absl::Duration patience);

}  // namespace innerloop
