#include "client/command_line_upkeep.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "client/commands/upkeep.h"
#include "client/commands/words.h"
#include "client/flag_checks.h"

namespace innerloop::client {
namespace {

using Chosen = std::function<absl::Status()>;

// A subcommand whose flags are parsed to `options`, which it owns.
template <typename Options>
CLI::App* Add(CLI::App& root, Chosen& chosen, const std::string& name,
              const std::string& description, const std::shared_ptr<Options>& options,
              absl::Status (*run)(const Options&, Session&), Session& session) {
  CLI::App* app = root.add_subcommand(name, description);
  app->callback([&chosen, &session, options, run] {
    chosen = [&session, options, run] { return run(*options, session); };
  });
  return app;
}

void AddLogs(CLI::App& root, Session& session, Chosen& chosen) {
  const auto options = std::make_shared<LogOptions>();
  CLI::App* app = Add(root, chosen, "logs",
                      "What the coordinator and its workers said about a job: shards that failed, "
                      "workers that were lost, checkpoints that failed, states",
                      options, ShowLog, session);
  app->add_option("ID", options->job, "Job")->required();
  app->add_flag("--follow", options->follow, "Go on with new entries until the job ends");
  app->add_option_function<std::string>(
         "--severity",
         [options](const std::string& name) {
           options->severity = name == "error"     ? v1::LOG_SEVERITY_ERROR
                               : name == "warning" ? v1::LOG_SEVERITY_WARNING
                                                   : v1::LOG_SEVERITY_INFO;
         },
         "Leave out what matters less: info, warning or error [info]")
      ->check(CLI::IsMember({"info", "warning", "error"}));
}

struct WordsOfJob {
  std::string job;
  Words words;
};

absl::Status Change(const WordsOfJob& options, Session& session) {
  return ChangeWords(options.job, options.words, session);
}

void AddWords(CLI::App& root, Session& session, Chosen& chosen) {
  const auto labels = std::make_shared<WordsOfJob>();
  CLI::App* label =
      Add(root, chosen, "label", "Set labels of a job, or take them away, in whatever state it is",
          labels, Change, session);
  label->add_option("ID", labels->job, "Job")->required();
  label->add_option("LABEL", labels->words.labels, "KEY=VALUE to set, KEY- to take away")
      ->required();
  const auto noted = std::make_shared<WordsOfJob>();
  CLI::App* note = Add(root, chosen, "note", "Set the note of a job, in whatever state it is",
                       noted, Change, session);
  note->add_option("ID", noted->job, "Job")->required();
  note->add_option_function<std::string>(
          "TEXT", [noted](const std::string& text) { noted->words.note = text; },
          "The note; an empty one takes it away")
      ->required();
}

absl::Status Compare(const std::vector<std::string>& jobs, Session& session) {
  return CompareJobs(jobs, session);
}

void AddCompare(CLI::App& root, Session& session, Chosen& chosen) {
  const auto jobs = std::make_shared<std::vector<std::string>>();
  Add(root, chosen, "compare",
      "Jobs side by side: results, whether their parameters are equal, and the fields in which "
      "their specifications differ",
      jobs, Compare, session)
      ->add_option("ID", *jobs, "Jobs, two or more")
      ->required()
      ->expected(2, 100);
}

struct NoOptions {};

void AddGarbage(CLI::App& root, Session& session, Chosen& chosen) {
  const auto options = std::make_shared<GarbageOptions>();
  CLI::App* app = Add(root, chosen, "gc",
                      "Remove what nobody needs any more from the coordinator. Never what a job "
                      "that has not ended needs",
                      options, CollectGarbage, session);
  app->add_flag("--dry-run", options->dry_run, "Remove nothing, only say what would be");
  app->add_option_function<std::string>(
         "--jobs-older-than",
         [options](const std::string& text) {
           options->jobs_older_than = TimeSpan("--jobs-older-than", text, absl::ZeroDuration());
         },
         "Jobs that ended longer ago, with history and checkpoints, e.g. 30d or 12h")
      ->type_name("TIME");
  app->add_flag("--checkpoints", options->checkpoints,
                "Of ended jobs, all checkpoints but the last and the best");
  app->add_flag(
      "--data-sets", options->data_sets,
      "Data sets and models that no job needs and that are older than an hour, uploads that "
      "were broken off a day ago");
}

struct BackupOptions {
  std::string file;
  std::string state_dir;
};

void AddBackups(CLI::App& root, Session& session, Chosen& chosen) {
  const auto options = std::make_shared<BackupOptions>();
  const auto backup = [](const BackupOptions& all, Session& within) {
    return Backup(all.file, within);
  };
  Add(root, chosen, "backup",
      "The coordinator's state as a tar file, while its jobs run: each as of its last checkpoint",
      options, +backup, session)
      ->add_option("-o,--out", options->file, "File to make")
      ->required();
  const auto restore = [](const BackupOptions& all, Session& within) {
    return Restore(all.file, all.state_dir, within);
  };
  CLI::App* app =
      Add(root, chosen, "restore",
          "Unpack a backup, verified, into a new folder for a coordinator's --state-dir", options,
          +restore, session);
  app->add_option("FILE", options->file, "Backup")->required();
  app->add_option("--state-dir", options->state_dir, "Folder to make, or an empty one")->required();
}

}  // namespace

void AddUpkeep(CLI::App& root, Session& session, Chosen& chosen) {
  AddLogs(root, session, chosen);
  AddWords(root, session, chosen);
  AddCompare(root, session, chosen);
  Add(
      root, chosen, "info", "Version, uptime, protection and free disk of the coordinator",
      std::make_shared<NoOptions>(),
      +[](const NoOptions&, Session& within) { return ShowInfo(within); }, session);
  AddGarbage(root, session, chosen);
  AddBackups(root, session, chosen);
}

}  // namespace innerloop::client
