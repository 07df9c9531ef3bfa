#include "client/commands/checkpoints.h"

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/watching.h"
#include "client/local/signal_watch.h"
#include "client/render/numbers.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/status_macros.h"

namespace innerloop::client {

absl::Status ListCheckpoints(const std::string& job, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::CheckpointInfo> checkpoints,
                             session.Client().ListCheckpoints(job));
  Json json = Json::array();
  for (const v1::CheckpointInfo& info : checkpoints) {
    json.push_back(CheckpointInfoJson(info));
  }
  session.Show(json, checkpoints.empty() ? "no checkpoints\n" : CheckpointsTable(checkpoints));
  return absl::OkStatus();
}

absl::Status DownloadCheckpoint(const std::string& checkpoint, const std::string& out,
                                Session& session) {
  const SignalWatch signals(Interrupter(session));
  std::string path;
  {
    LiveLine live(session.Live());
    INNERLOOP_ASSIGN_OR_RETURN(
        path, session.Client().DownloadCheckpoint(checkpoint, out, TransferLine(live, checkpoint)));
  }
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint read, ReadCheckpoint(path));
  Json json;
  json["file"] = path;
  json["job"] = read.metadata.job_id();
  json["iteration"] = read.metadata.iteration();
  json["parameters_sha256"] = read.metadata.parameters_sha256();
  session.Show(json, absl::StrCat(path, ": iteration ", Count(read.metadata.iteration()),
                                  ", parameters sha256 ", read.metadata.parameters_sha256(), "\n"));
  return absl::OkStatus();
}

absl::Status ShowCheckpoint(const std::string& file, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(file));
  session.Show(CheckpointJson(checkpoint), CheckpointText(checkpoint));
  return absl::OkStatus();
}

absl::Status VerifyCheckpoint(const std::string& file, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(file));
  Json json;
  json["file"] = file;
  json["valid"] = true;
  json["parameters_sha256"] = checkpoint.metadata.parameters_sha256();
  session.Show(json, absl::StrCat(file, ": whole; parameters sha256 ",
                                  checkpoint.metadata.parameters_sha256(), "\n"));
  return absl::OkStatus();
}

}  // namespace innerloop::client
