#include "client/commands/train.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/commands/seeds.h"
#include "client/commands/training_run.h"
#include "client/local/local_run.h"
#include "client/render/numbers.h"
#include "core/rpc/listen_address.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

constexpr char kRunsFolder[] = "innerloop-runs";

absl::Status CheckMetricsAddress(const std::string& address) {
  if (address.empty()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics-listen: ", parsed.status().message()));
  }
  if (!IsLoopback(parsed->host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics-listen=", address,
                     " can be reached from other machines; `train` shows its metrics to this one "
                     "alone: 127.0.0.1:PORT is right"));
  }
  return absl::OkStatus();
}

// A new folder for a new run: innerloop-runs/sinusoid_maml-20260131-235959.
std::string NewStateDir(const std::string& job_file, absl::Time now) {
  const std::string base =
      absl::StrCat(kRunsFolder, "/", std::filesystem::path(job_file).stem().string(), "-",
                   absl::FormatTime("%Y%m%d-%H%M%S", now, absl::LocalTimeZone()));
  std::string folder = base;
  std::error_code error;
  for (int i = 2; std::filesystem::exists(folder, error); ++i) {
    folder = absl::StrCat(base, "-", i);
  }
  return folder;
}

// Of an empty path, an empty one.
std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return path.empty() || error ? path : absolute.lexically_normal().string();
}

// Takes away what a run that was refused made. The logs of one that broke stay.
void RemoveUnused(const std::string& state_dir, const absl::Status& why) {
  if (ExitCode(why) != 2 && !absl::IsCancelled(why)) {
    return;
  }
  std::error_code error;
  std::filesystem::remove_all(state_dir, error);
  if (std::filesystem::path(state_dir).parent_path() == kRunsFolder) {
    std::filesystem::remove(kRunsFolder, error);  // if it is empty
  }
}

bool SetsSeed(const std::string& assignment) { return absl::StartsWith(assignment, "seed="); }

// A word as shells read it back.
std::string Quoted(const std::string& word) {
  const auto is_plain = [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("_-+=:,./@%", c);
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) {
    return word;
  }
  // A line feed would end the message's line.
  return std::any_of(word.begin(), word.end(), [](char c) { return absl::ascii_iscntrl(c); })
             ? absl::StrCat("$'", absl::Utf8SafeCEscape(word), "'")
             : absl::StrCat("'", absl::StrReplaceAll(word, {{"'", R"('\'')"}}), "'");
}

// The command that goes on with the run: the one that began it, but for how it shows things.
std::string CommandToGoOn(const TrainOptions& options, const std::string& state_dir) {
  const TrainOptions usual{};
  std::string command =
      absl::StrCat("innerloop train ", Quoted(options.job), " --state-dir ", Quoted(state_dir));
  const auto add = [&command](const std::string& flag, const std::string& value) {
    absl::StrAppend(&command, " ", flag, " ", Quoted(value));
  };
  const auto add_if = [&add](bool given, const std::string& flag, const std::string& value) {
    if (given) {
      add(flag, value);
    }
  };
  const auto add_each = [&add](const std::string& flag, const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      add(flag, value);
    }
  };
  add_each("--set", options.set);
  add_each("--data", options.data);
  add_if(!options.words.name.empty(), "--name", options.words.name);
  add_each("--label", options.words.labels);
  add_if(options.words.note.has_value(), "--note", options.words.note.value_or(""));
  add_each("--allow-model", options.allow_models);
  add_if(!options.seeds.empty(), "--seeds", options.seeds);
  add_if(options.workers != usual.workers, "--workers", absl::StrCat(options.workers));
  add_if(options.slots != usual.slots, "--slots", absl::StrCat(options.slots));
  add_if(!options.tensorboard_dir.empty(), "--tensorboard-dir", options.tensorboard_dir);
  add_if(options.metrics_listen != usual.metrics_listen, "--metrics-listen",
         options.metrics_listen);
  return command;
}

}  // namespace

int CoreCount() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

absl::Status Train(const TrainOptions& options, Session& session) {
  INNERLOOP_RETURN_IF_ERROR(CheckMetricsAddress(options.metrics_listen));
  std::vector<uint64_t> seeds;
  if (!options.seeds.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(seeds, ParseSeeds(options.seeds));
  }
  INNERLOOP_ASSIGN_OR_RETURN(PreparedJob prepared,
                             PrepareJob(options.job, options.set, options.data));
  INNERLOOP_RETURN_IF_ERROR(ApplyWords(options.words, prepared.resolved));
  INNERLOOP_RETURN_IF_ERROR(
      CheckModelAllowed(prepared.resolved, prepared.model_file, options.allow_models));
  const Surroundings& surroundings = session.surroundings;
  const std::string state_dir = options.state_dir.empty()
                                    ? NewStateDir(options.job, surroundings.clock->Now())
                                    : options.state_dir;
  std::error_code unreadable;
  const bool fresh = !std::filesystem::exists(state_dir, unreadable) && !unreadable;

  LiveLine live(session.Live());
  if (!seeds.empty() && std::any_of(options.set.begin(), options.set.end(), SetsSeed)) {
    live.Print("warning: --seeds names the seeds; the one that --set gives is not used");
  }
  LocalRun cluster(session.cancellation);
  absl::Status started =
      cluster.Start({.state_dir = AbsolutePath(state_dir),
                     .program_folder = surroundings.program_folder,
                     .metrics_listen = options.metrics_listen,
                     .tensorboard_dir = AbsolutePath(options.tensorboard_dir),
                     .workers = options.workers > 0 ? options.workers : CoreCount(),
                     .slots = options.slots,
                     .allow_models = options.allow_models,
                     .notice = [&live](const std::string& notice) { live.Print(notice); }});
  if (!started.ok()) {
    if (fresh) {
      RemoveUnused(state_dir, started);
    }
    return started;
  }
  const RunSurroundings around{prepared, state_dir, session, cluster.cluster(), live};
  const std::unique_ptr<TrainingRun> run =
      seeds.empty() ? RunOfOneJob(around) : RunOfSeeds(around, seeds);
  const absl::Status ended = run->ToEnd();
  const bool interrupted = absl::IsCancelled(session.cancellation.status());
  if (interrupted) {
    live.Print("stopping: finishing the iteration and writing a checkpoint (again to kill)");
  }
  const bool graceful = cluster.Stop();
  live.Close();
  if (!run->began()) {
    if (fresh) {
      RemoveUnused(state_dir, ended);
    }
    return interrupted ? absl::CancelledError("interrupted before the job began") : ended;
  }
  if (interrupted && !ended.ok()) {
    return absl::CancelledError(absl::StrCat(graceful ? "stopped" : "killed",
                                             " at about iteration ", Count(run->iteration()),
                                             "; to go on: ", CommandToGoOn(options, state_dir)));
  }
  INNERLOOP_RETURN_IF_ERROR(ended);
  return run->Show();
}

}  // namespace innerloop::client
