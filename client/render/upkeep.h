// What operators see of a coordinator, as text and as JSON.
#pragma once

#include <string>

#include "client/render/views.h"
#include "innerloop/v1/upkeep.pb.h"

namespace innerloop::client {

// "info", "warning" or "error".
std::string SeverityName(v1::LogSeverity severity);
// A line, with a line feed.
std::string LogLine(const v1::LogEntry& entry);
Json LogJson(const v1::LogEntry& entry);

std::string InfoText(const v1::ServerInfo& info, absl::Time now);
Json InfoJson(const v1::ServerInfo& info, absl::Time now);

// `dry_run`: nothing was removed.
std::string GarbageText(const v1::CollectGarbageResponse& garbage, bool dry_run);
Json GarbageJson(const v1::CollectGarbageResponse& garbage, bool dry_run);

}  // namespace innerloop::client
