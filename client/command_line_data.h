// Flags of the commands about data sets.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

// Adds dataset and its commands. Parsing one of them sets `chosen`, which outlives the parser as
// the session does.
void AddDataSets(CLI::App& root, Session& session, std::function<absl::Status()>& chosen);

}  // namespace innerloop::client
