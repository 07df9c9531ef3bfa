// Commands about bearer tokens on the coordinator.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/session.h"

namespace innerloop::client {

// `role` is "user" or "viewer"; a lifetime of zero is for ever. Prints the secret, which is not to
// be had again.
absl::Status CreateToken(const std::string& name, const std::string& role, absl::Duration lifetime,
                         Session& session);
absl::Status ListTokens(Session& session);
absl::Status RevokeToken(const std::string& id, Session& session);

}  // namespace innerloop::client
