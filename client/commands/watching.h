// How commands show what takes long.
#pragma once

#include <string>

#include "client/api/training_client.h"
#include "client/render/live_line.h"
#include "client/render/progress.h"

namespace innerloop::client {

// Shows a transfer of the file on the line, which outlives it.
TransferProgress TransferLine(LiveLine& live, const std::string& file);

// Shows a job's events, and breaks of the stream. Both outlive it.
TrainingClient::Watcher WatchWith(Progress& progress, LiveLine& live);

}  // namespace innerloop::client
