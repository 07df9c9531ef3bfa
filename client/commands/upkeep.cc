#include "client/commands/upkeep.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/api/upkeep_client.h"
#include "client/commands/watching.h"
#include "client/local/signal_watch.h"
#include "client/render/compare.h"
#include "client/render/live_line.h"
#include "client/render/numbers.h"
#include "client/render/upkeep.h"
#include "core/archive/backup.h"
#include "core/support/status_macros.h"

namespace innerloop::client {

absl::Status ShowInfo(Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::ServerInfo info,
                             UpkeepClient(session.client, session.cancellation).Info());
  const absl::Time now = session.surroundings.clock->Now();
  session.Show(InfoJson(info, now), InfoText(info, now));
  return absl::OkStatus();
}

absl::Status ShowLog(const LogOptions& options, Session& session) {
  const SignalWatch signals(Interrupter(session));
  UpkeepClient client(session.client, session.cancellation);
  return client.ReadLog(options.job, options.follow, [&](const v1::LogEntry& entry) {
    if (entry.severity() >= options.severity) {
      session.out() << (session.json ? JsonLine(LogJson(entry)) : LogLine(entry)) << std::flush;
    }
  });
}

absl::Status CompareJobs(const std::vector<std::string>& jobs, Session& session) {
  TrainingClient client = session.Client();
  std::vector<v1::Job> rows;
  for (const std::string& id : jobs) {
    INNERLOOP_ASSIGN_OR_RETURN(rows.emplace_back(), client.Get(id));
  }
  session.Show(ComparisonJson(rows), ComparisonText(rows));
  return absl::OkStatus();
}

absl::Status CollectGarbage(const GarbageOptions& options, Session& session) {
  if (!options.jobs_older_than.has_value() && !options.checkpoints && !options.data_sets) {
    return absl::InvalidArgumentError(
        "nothing to look for: give --jobs-older-than, --checkpoints or --data-sets");
  }
  v1::CollectGarbageRequest request;
  request.set_dry_run(options.dry_run);
  if (options.jobs_older_than.has_value()) {
    request.set_jobs_older_than_seconds(absl::ToDoubleSeconds(*options.jobs_older_than));
  }
  request.set_checkpoints(options.checkpoints);
  request.set_data_sets(options.data_sets);
  INNERLOOP_ASSIGN_OR_RETURN(
      const v1::CollectGarbageResponse garbage,
      UpkeepClient(session.client, session.cancellation).CollectGarbage(request));
  session.Show(GarbageJson(garbage, options.dry_run), GarbageText(garbage, options.dry_run));
  return absl::OkStatus();
}

absl::Status Backup(const std::string& file, Session& session) {
  const SignalWatch signals(Interrupter(session));
  uint64_t bytes = 0;
  {
    LiveLine live(session.Live());
    INNERLOOP_ASSIGN_OR_RETURN(
        bytes, UpkeepClient(session.client, session.cancellation).Backup(file, [&](uint64_t done) {
          live.Update(absl::StrCat(file, ": ", Bytes(done)));
        }));
  }
  session.Show({{"file", file}, {"bytes", bytes}},
               absl::StrCat(file, ": ", Bytes(bytes), "; innerloop restore unpacks it\n"));
  return absl::OkStatus();
}

absl::Status Restore(const std::string& file, const std::string& state_dir, Session& session) {
  const SignalWatch signals(Interrupter(session));
  Restored restored;
  {
    LiveLine live(session.Live());
    const TransferProgress show = TransferLine(live, file);
    INNERLOOP_ASSIGN_OR_RETURN(restored,
                               RestoreBackup(file, state_dir, [&](uint64_t done, uint64_t total) {
                                 show(done, total);
                                 return session.cancellation.status();
                               }));
  }
  Json json;
  json["state_dir"] = state_dir;
  json["files"] = restored.files;
  json["bytes"] = restored.bytes;
  json["version"] = restored.version;
  json["created"] = restored.created;
  session.Show(
      json, absl::StrCat(state_dir, ": ", Count(restored.files), " files, ", Bytes(restored.bytes),
                         ", as of ", restored.created,
                         "; to go on: innerloop-coordinator --state-dir ", state_dir, "\n"));
  return absl::OkStatus();
}

}  // namespace innerloop::client
