// How commands show what takes long, and how it is interrupted.
#pragma once

#include <functional>
#include <string>

#include "client/api/training_client.h"
#include "client/render/live_line.h"
#include "client/render/progress.h"
#include "client/session.h"

namespace innerloop::client {

// Shows a transfer of the file on the line, which outlives it.
TransferProgress TransferLine(LiveLine& live, const std::string& file);

// Shows a job's events, and breaks of the stream. Both outlive it.
TrainingClient::Watcher WatchWith(Progress& progress, LiveLine& live);

// What a SignalWatch is given: Ctrl-C ends the session's calls, with CANCELLED and these words.
std::function<void(int count)> Interrupter(Session& session,
                                           const std::string& words = "interrupted");

}  // namespace innerloop::client
