// Commands about checkpoints, on the coordinator and in files.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

absl::Status ListCheckpoints(const std::string& job, Session& session);
// "JOB", "JOB@ITERATION" or "JOB@best" into the file; empty: the coordinator's name for it. Ctrl-C
// ends it, and leaves nothing behind.
absl::Status DownloadCheckpoint(const std::string& checkpoint, const std::string& out,
                                Session& session);
// Both read and verify the whole file.
absl::Status ShowCheckpoint(const std::string& file, Session& session);
absl::Status VerifyCheckpoint(const std::string& file, Session& session);

}  // namespace innerloop::client
