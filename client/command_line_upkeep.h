// Flags of the commands that look after jobs and coordinators.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

// Adds logs, label, note, compare, info, gc, backup and restore. Parsing one of them sets `chosen`,
// which outlives the parser as the session does.
void AddUpkeep(CLI::App& root, Session& session, std::function<absl::Status()>& chosen);

}  // namespace innerloop::client
