// Flags of what shows curves.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

// --chart and --no-chart of a command that follows a job.
void AddChartFlag(CLI::App& app, Session& session);
// Adds report. Parsing it sets `chosen`, which outlives the parser as the session does.
void AddReport(CLI::App& root, Session& session, std::function<absl::Status()>& chosen);

}  // namespace innerloop::client
