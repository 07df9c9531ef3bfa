// innerloop-coordinator: flags, signals, exit codes.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/rpc/grpc_log.h"
#include "core/support/arguments.h"
#include "core/support/die_with_parent.h"
#include "core/support/logging.h"
#include "core/support/mutex_checks.h"
#include "core/support/time_span.h"
#include "core/support/version.h"
#include "server/server.h"

namespace {

constexpr char kProgram[] = "innerloop-coordinator";
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;
// What a graceful stop gives the iterations under way.
constexpr absl::Duration kStopPatience = absl::Seconds(20);

struct Flags {
  innerloop::server::Options options;
  innerloop::LogOptions log = {.program = kProgram};
  bool die_with_parent = false;
};

CLI::Option* AddDuration(CLI::App& app, const std::string& name, absl::Duration least,
                         absl::Duration& target, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [name, least, &target](const std::string& text) {
            const absl::StatusOr<absl::Duration> span = innerloop::ParseTimeSpan(text);
            if (!span.ok()) {
              throw CLI::ValidationError(name, std::string(span.status().message()));
            }
            if (*span < least) {
              throw CLI::ValidationError(
                  name, absl::StrCat("'", text, "' is below ", absl::FormatDuration(least)));
            }
            target = *span;
          },
          help)
      ->type_name("TIME")
      ->default_str(absl::FormatDuration(target));
}

void AddFlags(CLI::App& app, Flags& flags) {
  auto& options = flags.options;
  app.add_option("--state-dir", options.state_dir,
                 "Folder of jobs, checkpoints and data sets; made when it is not there")
      ->capture_default_str();
  app.add_option("--listen", options.listen, "HOST:PORT for clients and workers; port 0: any")
      ->capture_default_str();
  app.add_option("--metrics-listen", options.metrics_listen,
                 "HOST:PORT for Prometheus; port 0: any; empty: none")
      ->capture_default_str();
  app.add_option("--tls-cert", options.tls.cert,
                 "PEM file of the coordinator's certificate: TLS, and callers must be known");
  app.add_option("--tls-key", options.tls.key, "PEM file of its key, which only we may read");
  app.add_option("--tls-ca", options.tls.ca,
                 "PEM file of the authority that workers' and users' certificates come from");
  app.add_flag("--insecure", options.insecure,
               "Without TLS: let --listen be reached from other machines, by anybody");
  app.add_flag("--insecure-metrics", options.insecure_metrics,
               "Let --metrics-listen, which is plaintext, be reached from other machines");
  AddDuration(app, "--worker-timeout", absl::Milliseconds(1), options.worker_timeout,
              "A worker that is silent for so long is lost");
  app.add_option("--max-parameters", options.max_parameters,
                 "Most scalars of a job's meta-parameters")
      ->capture_default_str();
  app.add_option("--max-jobs", options.max_jobs, "Most jobs that have not ended")
      ->capture_default_str();
  app.add_option(
         "--data-set-quota", options.data_set_quota,
         "Most bytes of all data sets together, and of all users' models (also with a unit: 64GB)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->capture_default_str();
  app.add_option("--max-checkpoint-bytes", options.max_checkpoint_bytes,
                 "Most bytes of an uploaded checkpoint (also with a unit: 4GB)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->capture_default_str();
  app.add_option("--tensorboard-dir", options.tensorboard_dir,
                 "Folder for TensorBoard's event files, DIR/NAME-ID for each job; empty: none");
  AddDuration(app, "--metrics-retention", absl::ZeroDuration(), options.metrics_retention,
              "How long an ended job's series stay on /metrics");
  AddDuration(app, "--job-retention", absl::ZeroDuration(), options.job_retention,
              "Remove ended jobs, with their history and checkpoints, after so long, e.g. 30d; 0: "
              "never");
  app.add_option("--log-level", flags.log.level, "trace, debug, info, warning, error or off")
      ->capture_default_str();
  app.add_option("--log-format", flags.log.format, "text, or json: an object a line")
      ->capture_default_str();
  app.set_version_flag(
      "--version", absl::StrCat(kProgram, " ", innerloop::kVersion, "\ngRPC ", grpc::Version()));
  // For programs that start a coordinator of their own.
  app.add_flag("--at-rest", options.at_rest)->group("");
  app.add_flag("--die-with-parent", flags.die_with_parent)->group("");
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? kBadUsage : kFailed;
}

int Serve(const Flags& flags) {
  // Every thread leaves these to this one, which waits for them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const auto server = innerloop::server::Server::Create(flags.options);
  if (!server.ok()) {
    return Fail(server.status());
  }
  const std::string metrics = (*server)->metrics_address();
  std::printf("%s: listening on %s%s\n", kProgram, (*server)->address().c_str(),
              metrics.empty() ? "" : absl::StrCat(", metrics on ", metrics).c_str());
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("{}: stopping", strsignal(signal));
  // The next signal ends the process at once, as it would any other.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*server)->Stop(kStopPatience);
  // All is durable. The metrics page's web server would take two seconds more to notice its end.
  spdlog::shutdown();
  _exit(0);
}

int Run(int argc, char** argv) {
  innerloop::CheckMutexesInDebugBuildsOnly();
  Flags flags;
  CLI::App app(
      "The coordinator of Innerloop: keeps jobs, gives work to workers, takes outer steps.",
      kProgram);
  AddFlags(app, flags);
  try {
    app.parse(innerloop::ParserArguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      return app.exit(error);
    }
    return Fail(
        absl::InvalidArgumentError(absl::StrCat(error.what(), " (see: ", kProgram, " --help)")));
  }
  if (flags.die_with_parent) {
    innerloop::DieWithParent();
  }
  if (const absl::Status logging = innerloop::SetUpLogging(flags.log); !logging.ok()) {
    return Fail(logging);
  }
  innerloop::SendGrpcLogToOurs();
  return Serve(flags);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", kProgram, error.what());
    return kFailed;
  }
}
