// Commands about bearer tokens on the coordinator.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

// `role` is "user" or "viewer"; `expires` is a time like "90d" or "12h", empty: never. Prints the
// secret, which is not to be had again.
absl::Status CreateToken(const std::string& name, const std::string& role,
                         const std::string& expires, Session& session);
absl::Status ListTokens(Session& session);
absl::Status RevokeToken(const std::string& id, Session& session);

}  // namespace innerloop::client
