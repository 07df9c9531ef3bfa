#include "client/command_line.h"

#include <exception>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>
#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "client/command_line_curves.h"
#include "client/command_line_data.h"
#include "client/command_line_security.h"
#include "client/command_line_upkeep.h"
#include "client/commands/adapt.h"
#include "client/commands/adapt_flags.h"
#include "client/commands/checkpoints.h"
#include "client/commands/completion.h"
#include "client/commands/evaluate.h"
#include "client/commands/jobs.h"
#include "client/commands/train.h"
#include "client/flag_checks.h"
#include "client/render/table.h"
#include "core/rpc/listen_address.h"
#include "core/support/arguments.h"
#include "core/support/version.h"

namespace innerloop::client {
namespace {

using Command = std::function<absl::Status()>;

// Where flags are parsed to, for all commands; outlives the parser. One thread only.
struct Arguments {
  Session& session;
  // What the arguments ask for.
  Command chosen;

  TrainOptions train{};
  SubmitOptions submit{};
  EvaluateOptions evaluate{};
  AdaptOptions adapt{};
  std::string target{};
  uint64_t from_iteration = 0;
  std::string out{};
  bool spec_alone = false;
  std::vector<std::string> labels{};
};

// A subcommand that runs `command`.
CLI::App* Add(CLI::App& parent, Arguments& arguments, const std::string& name,
              const std::string& description, Command command) {
  CLI::App* app = parent.add_subcommand(name, description);
  app->callback([&arguments, command = std::move(command)] { arguments.chosen = command; });
  return app;
}

// A subcommand with nothing but a target.
void AddSimple(CLI::App& parent, Arguments& arguments, const std::string& name,
               const std::string& description, const std::string& target,
               const std::string& target_description,
               absl::Status (*command)(const std::string&, Session&)) {
  Add(parent, arguments, name, description,
      [&arguments, command] { return command(arguments.target, arguments.session); })
      ->add_option(target, arguments.target, target_description)
      ->required();
}

void AddJobFlags(CLI::App& app, std::string& job, std::vector<std::string>& set,
                 std::vector<std::string>& data, Words& words) {
  app.add_option("JOB", job, "Job specification: textproto or JSON")->required();
  app.add_option(
         "--set", set,
         "Override a field, e.g. --set algorithm.maml.inner_steps=5; lists and messages as a "
         "whole: model.mlp.hidden=[64,64], objective.terms=[{query_loss {}}, "
         "{gradient_norm {} weight: 0.1}]")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
  app.add_option("--data", data, "File of a data set; else $INNERLOOP_DATA/NAME.safetensors")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  app.add_option("--name", words.name, "Name of the job [the file's]");
  app.add_option("--label", words.labels, "Label of the job, beside the file's")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--note", words.note, "Note of the job, free text [the file's]");
}

void AddTrain(CLI::App& root, Arguments& arguments) {
  TrainOptions& options = arguments.train;
  CLI::App* app =
      Add(root, arguments, "train",
          "Train a job on this machine: starts a coordinator and workers, shows progress, "
          "evaluation and checkpoint. The same again with its --state-dir goes on.",
          [&arguments] { return Train(arguments.train, arguments.session); });
  AddJobFlags(*app, options.job, options.set, options.data, options.words);
  app->add_option("--allow-model", options.allow_models,
                  "Let the job run the TorchScript model of this hash, which is its author's code")
      ->transform(Sha256Digits())
      ->type_name("SHA256")
      ->allow_extra_args(false);
  app->add_option("--workers", options.workers, "Worker processes [one for each core]")
      ->transform(WholeNumber(1, 1024));
  app->add_option("--slots", options.slots, "Compute threads of each worker [1]")
      ->transform(WholeNumber(1, 1024));
  app->add_option(
         "--seeds", options.seeds,
         "The job once for each seed, e.g. 1..5 or 1,4,7; then mean and standard deviation "
         "over them")
      ->type_name("SEEDS");
  app->add_option("--state-dir", options.state_dir,
                  "Where checkpoints, history and logs are kept [innerloop-runs/JOB-DATE-TIME]");
  AddChartFlag(*app, arguments.session);
  app->add_option("--tensorboard-dir", options.tensorboard_dir,
                  "Folder for TensorBoard's event files [none are written]")
      ->type_name("DIR");
  app->add_option("--metrics-listen", options.metrics_listen,
                  "Address of the coordinator's /metrics; port 0: any free one [127.0.0.1:0]")
      ->type_name("HOST:PORT");
}

void AddEvaluate(CLI::App& root, Arguments& arguments) {
  EvaluateOptions& options = arguments.evaluate;
  v1::EvaluationProtocol& protocol = options.protocol;
  CLI::App* app = Add(root, arguments, "evaluate",
                      "Error or accuracy after each inner step, with 95 % intervals. What is not "
                      "given is as in the job's final evaluation. Several values of --ways, "
                      "--shots and --transductive make a protocol of each combination.",
                      [&arguments] { return Evaluate(arguments.evaluate, arguments.session); });
  app->add_option("CHECKPOINT", options.target,
                  "JOB, JOB@ITERATION or JOB@best on the coordinator, or a checkpoint file")
      ->required();
  // Several values, joined by commas or by repeating the flag.
  const auto add_list = [app](const std::string& flag, std::vector<uint32_t>& values,
                              const std::string& text, uint32_t least) {
    app->add_option(flag, values, text)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->transform(WholeNumber(least, 10'000'000))
        ->type_name("N,...");
  };
  add_list("--ways", options.ways, "Classes per episode", 2);
  add_list("--shots", options.shots, "Support examples per class", 1);
  const auto add_number = [app](const std::string& flag, auto set, const std::string& text,
                                uint32_t least) {
    app->add_option_function<uint32_t>(flag, set, text)->transform(WholeNumber(least, 10'000'000));
  };
  add_number(
      "--queries", [&](uint32_t n) { protocol.set_queries(n); }, "Query examples per class", 1);
  add_number(
      "--steps", [&](uint32_t n) { protocol.set_inner_steps(n); }, "Inner steps", 0);
  add_number(
      "--episodes", [&](uint32_t n) { protocol.set_episodes(n); }, "Tasks", 1);
  app->add_option_function<uint32_t>(
         "--line-search", [&protocol](uint32_t n) { protocol.set_line_search(n); },
         "Most halvings of an inner step that would raise the support loss; 0 takes steps as they "
         "are")
      ->transform(WholeNumber(0, 30));
  app->add_option_function<std::string>(
         "--split",
         [&protocol](const std::string& name) {
           protocol.set_split(name == "train"        ? v1::SPLIT_TRAIN
                              : name == "validation" ? v1::SPLIT_VALIDATION
                                                     : v1::SPLIT_TEST);
         },
         "train, validation or test [test]")
      ->check(CLI::IsMember({"train", "validation", "test"}));
  app->add_option_function<std::vector<std::string>>(
         "--transductive",
         [&options](const std::vector<std::string>& names) {
           for (const std::string& name : names) {
             if (name == "yes" || name == "both") {
               options.transductions.push_back(v1::TRANSDUCTION_ALL_QUERIES);
             }
             if (name == "no" || name == "both") {
               options.transductions.push_back(v1::TRANSDUCTION_SUPPORT_STATISTICS);
             }
             if (name == "single") {
               options.transductions.push_back(v1::TRANSDUCTION_SINGLE_QUERY);
             }
           }
         },
         "Batch norm over all queries (yes), the support set alone (no), each query with the "
         "support set (single), or yes and no (both)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"yes", "no", "single", "both"}))
      ->type_name("HOW,...");
  app->add_option_function<uint64_t>(
         "--seed", [&protocol](uint64_t seed) { protocol.set_seed(seed); },
         "Seed of the episodes; 0 is the seed of the job's final evaluation [0]")
      ->transform(Seed());
  app->add_option("--workers", options.workers, "For a file: worker processes [one for each core]")
      ->transform(WholeNumber(1, 1024));
  app->add_option("--model", options.model,
                  "For a file: the TorchScript model that its job brought")
      ->type_name("FILE");
  app->add_option("--data", options.data, "For a file: file of its data set")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
}

void AddAdapt(CLI::App& root, Arguments& arguments) {
  AddAdaptFlags(*Add(root, arguments, "adapt",
                     "Adapt a trained model to a few examples of your own: predict others, and "
                     "take the adapted model away",
                     [&arguments] { return Adapt(arguments.adapt, arguments.session); }),
                arguments.adapt, arguments.session);
}

void AddJobs(CLI::App& root, Arguments& arguments) {
  SubmitOptions& options = arguments.submit;
  CLI::App* submit = Add(root, arguments, "submit", "Give a job to the coordinator",
                         [&arguments] { return SubmitJob(arguments.submit, arguments.session); });
  AddJobFlags(*submit, options.job, options.set, options.data, options.words);
  submit->add_flag("--watch", options.watch, "Follow it to its end");
  AddChartFlag(*submit, arguments.session);
  Add(root, arguments, "list", "Jobs",
      [&arguments] { return ListJobs(arguments.labels, arguments.session); })
      ->add_option("--label", arguments.labels, "Only jobs with this label")
      ->type_name("KEY[=VALUE]")
      ->allow_extra_args(false);
  CLI::App* show = Add(root, arguments, "show", "A job in full", [&arguments] {
    return ShowJob(arguments.target, arguments.spec_alone, arguments.session);
  });
  show->add_option("ID", arguments.target, "Job")->required();
  show->add_flag("--spec", arguments.spec_alone,
                 "Its specification alone, as a job file to submit again");
  CLI::App* watch = Add(root, arguments, "watch", "Follow a job to its end", [&arguments] {
    return WatchJob(arguments.target, arguments.from_iteration, arguments.session);
  });
  watch->add_option("ID", arguments.target, "Job")->required();
  AddChartFlag(*watch, arguments.session);
  watch->add_option("--from", arguments.from_iteration, "First iteration to be told of [0]")
      ->transform(WholeNumber(0, UINT64_MAX));
  AddSimple(root, arguments, "cancel",
            "End a job at once. Its checkpoints stay; iterations since the last one are lost: to "
            "keep them, pause it first",
            "ID", "Job", CancelJob);
  AddSimple(root, arguments, "pause", "Stop a job after its iteration, with a checkpoint", "ID",
            "Job", PauseJob);
  AddSimple(root, arguments, "resume", "Let a paused job go on", "ID", "Job", ResumeJob);
  AddSimple(root, arguments, "delete", "Remove an ended job, its history and checkpoints", "ID",
            "Job", DeleteJob);
  Add(root, arguments, "workers", "Workers",
      [&arguments] { return ListWorkers(arguments.session); });
}

void AddCheckpoints(CLI::App& root, Arguments& arguments) {
  CLI::App* app = root.add_subcommand("checkpoint", "Checkpoints on the coordinator and in files");
  app->require_subcommand(1);
  AddSimple(*app, arguments, "list", "Checkpoints of a job", "ID", "Job", ListCheckpoints);
  CLI::App* download = Add(*app, arguments, "download", "Fetch a checkpoint", [&arguments] {
    return DownloadCheckpoint(arguments.target, arguments.out, arguments.session);
  });
  download->add_option("CHECKPOINT", arguments.target, "JOB, JOB@ITERATION or JOB@best")
      ->required();
  download->add_option("--out", arguments.out, "File [JOB-checkpoint-ITERATION.safetensors]");
  AddSimple(*app, arguments, "show", "What a checkpoint file holds", "FILE", "Checkpoint file",
            ShowCheckpoint);
  AddSimple(*app, arguments, "verify", "Whether a checkpoint file is whole", "FILE",
            "Checkpoint file", VerifyCheckpoint);
}

void AddCompletion(CLI::App& root, Arguments& arguments) {
  CLI::App* app = root.add_subcommand("completion", "Completion of this command line for a shell");
  app->require_subcommand(1);
  Add(*app, arguments, "bash", "For bash: source <(innerloop completion bash)",
      [&arguments, &root] {
        arguments.session.out() << BashCompletion(root);
        return absl::OkStatus();
      });
}

void AddAll(CLI::App& root, Arguments& arguments) {
  // Flags of the program may also stand behind its commands.
  root.fallthrough();
  root.require_subcommand(1);
  root.set_version_flag(
      "--version",
      absl::StrCat("innerloop ", kVersion, ", gRPC ", grpc::Version(), ", protobuf ",
                   google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION)));
  root.add_option("--coordinator", arguments.session.client.coordinator,
                  "Address of the coordinator [127.0.0.1:7400]")
      ->envname("INNERLOOP_COORDINATOR")
      ->check([](const std::string& address) {
        const auto parsed = ParseHostPort(address);
        return parsed.ok() ? "" : std::string(parsed.status().message());
      })
      ->type_name("HOST:PORT");
  AddSecurityFlags(root, arguments.session);
  root.add_option_function<std::string>(
          "--format",
          [&arguments](const std::string& format) { arguments.session.json = format == "json"; },
          "table for people, json for programs [table]")
      ->check(CLI::IsMember({"table", "json"}));
  AddTrain(root, arguments);
  AddJobs(root, arguments);
  AddEvaluate(root, arguments);
  AddAdapt(root, arguments);
  AddCheckpoints(root, arguments);
  AddDataSets(root, arguments.session, arguments.chosen);
  AddReport(root, arguments.session, arguments.chosen);
  AddUpkeep(root, arguments.session, arguments.chosen);
  AddSecurityCommands(root, arguments.session, arguments.chosen);
  AddCompletion(root, arguments);
}

// "innerloop dataset add": the innermost command that the arguments name.
std::string CommandPath(const CLI::App& root) {
  std::string path = root.get_name();
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    absl::StrAppend(&path, " ", app->get_name());
  }
  return path;
}

// What libraries throw and nobody caught ends here, as one line.
absl::Status Run(const Command& command) {
  try {
    return command();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("broke off: ", error.what()));
  }
}

// The exit code: `code`, unless all went well but the output.
int CodeAfterOutput(int code, const Surroundings& surroundings) {
  surroundings.out << std::flush;
  if (code != 0 || surroundings.out) {
    return code;
  }
  surroundings.err << "innerloop: cannot write to standard output\n" << std::flush;
  return 1;
}

}  // namespace

int RunClient(int argc, const char* const* argv, Surroundings& surroundings) {
  Session session{.surroundings = surroundings, .client = {.clock = surroundings.clock}};
  Arguments arguments{.session = session};
  CLI::App root("Meta-training on a coordinator and its workers.", "innerloop");
  AddAll(root, arguments);
  try {
    root.parse(ParserArguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      return CodeAfterOutput(root.exit(error, surroundings.out, surroundings.err), surroundings);
    }
    // The parser says of a misspelled command only that there is none.
    const std::vector<std::string> unknown = root.remaining(/*recurse=*/true);
    const std::string what = error.get_name() == "RequiredError" && !unknown.empty()
                                 ? absl::StrCat("'", unknown.front(), "' is not known here")
                                 : error.what();
    surroundings.err << "innerloop: " << OneLine(what) << " (see: " << CommandPath(root)
                     << " --help)\n";
    return 2;
  }
  const absl::Status status = Run(arguments.chosen);
  surroundings.out << std::flush;
  if (!status.ok()) {
    surroundings.err << "innerloop: " << OneLine(status.message()) << "\n" << std::flush;
  }
  // As shells have it for a program that ended by Ctrl-C.
  const bool interrupted = absl::IsCancelled(session.cancellation.status()) && !status.ok();
  return CodeAfterOutput(interrupted ? 130 : ExitCode(status), surroundings);
}

}  // namespace innerloop::client
