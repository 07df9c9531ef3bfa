// The part of the command line that is about who may do what.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

// Flags and environment of all commands that call a coordinator: --tls-ca, INNERLOOP_TOKEN, ...
void AddSecurityFlags(CLI::App& root, Session& session);

// `token` and `certs`. The command that the arguments ask for is put into `chosen`; both outlive
// the parser.
void AddSecurityCommands(CLI::App& root, Session& session, std::function<absl::Status()>& chosen);

}  // namespace innerloop::client
