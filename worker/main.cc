// innerloop-worker: flags, signals, the metrics page and health checks around a Worker.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/job/task_view.h"
#include "core/meta/program.h"
#include "core/rpc/grpc_log.h"
#include "core/rpc/listen_address.h"
#include "core/support/arguments.h"
#include "core/support/checksum.h"
#include "core/support/die_with_parent.h"
#include "core/support/logging.h"
#include "core/support/mutex_checks.h"
#include "core/support/status_macros.h"
#include "core/support/version.h"
#include "worker/cache_folder.h"
#include "worker/health.h"
#include "worker/metrics.h"
#include "worker/model_program.h"
#include "worker/model_service.h"
#include "worker/worker.h"

namespace innerloop::worker {
namespace {

// Exit codes, as all programs of the project have them.
constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;

struct Flags {
  Options options;
  std::string device = "auto";
  std::string metrics_listen = "127.0.0.1:0";
  std::string health_listen = "127.0.0.1:0";
  bool insecure = false;
  bool insecure_metrics = false;
  bool die_with_parent = false;
  LogOptions log{.program = "innerloop-worker"};
};

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

std::string DefaultCacheFolder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return absl::StrCat(cache, "/innerloop/worker");
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return absl::StrCat(home, "/.cache/innerloop/worker");
  }
  return absl::StrCat(std::filesystem::temp_directory_path().string(), "/innerloop-worker-",
                      getuid());
}

std::string FingerprintText(const v1::NumericsFingerprint& print) {
  return absl::StrCat(print.numerics_version(), "/", print.libtorch(), "/", print.device(), "/",
                      print.math());
}

void Declare(CLI::App& app, Flags& flags) {
  Options& options = flags.options;
  options.slots = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 1024U));
  options.cache_dir = DefaultCacheFolder();
  options.name = absl::StrCat(HostName(), ":", getpid());
  app.set_version_flag("--version",
                       absl::StrCat("innerloop-worker ", kVersion, "\nLibTorch ",
                                    meta::LibTorchVersion(), "\ngRPC ", grpc::Version()));
  app.add_option("--coordinator", options.coordinator, "HOST:PORT of the coordinator")
      ->envname("INNERLOOP_COORDINATOR")
      ->capture_default_str();
  app.add_option("--tls-cert", options.tls.cert,
                 "PEM file of this worker's certificate: the connection is under TLS");
  app.add_option("--tls-key", options.tls.key, "PEM file of its key, which only we may read");
  app.add_option("--tls-ca", options.tls.ca,
                 "PEM file of the authority that the coordinator's certificate comes from");
  app.add_option("--slots", options.slots, "Compute threads; default: one for each core")
      ->check(CLI::Range(1, 1024));
  app.add_option("--device", flags.device, "auto or cpu: this build computes on the CPU")
      ->capture_default_str();
  app.add_option("--name", options.name, "Name shown to people; default: host name and process id")
      ->check([](const std::string& name) {
        return name.size() <= 200 ? "" : "a name has at most 200 characters";
      });
  app.add_option("--cache-dir", options.cache_dir, "Folder for data sets, which workers may share")
      ->capture_default_str();
  app.add_option("--max-cache", options.max_cache_bytes,
                 "Most data in --cache-dir, e.g. 20GiB; what was unused for longest goes first")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("20GiB");
  app.add_option("--metrics-listen", flags.metrics_listen,
                 "HOST:PORT of /metrics for Prometheus; port 0: any; empty: none")
      ->capture_default_str();
  app.add_option("--health-listen", flags.health_listen,
                 "HOST:PORT of the gRPC health service; port 0: any; empty: none")
      ->capture_default_str();
  app.add_flag("--insecure-metrics", flags.insecure_metrics,
               "Let --metrics-listen, which is plaintext, be reached from other machines");
  app.add_flag("--insecure", flags.insecure, "The same for --health-listen, too");
  app.add_option("--max-memory", options.max_parameter_bytes,
                 "Most memory for parameters of all jobs, e.g. 8GiB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("8GiB");
  app.add_option("--allow-model", options.allowed_models,
                 "SHA-256 of a TorchScript model that jobs may bring; may be given several times. "
                 "It is code that runs with this program's rights")
      ->envname("INNERLOOP_ALLOW_MODEL")
      ->delimiter(',')
      ->check([](const std::string& hash) {
        return IsSha256Hex(hash) ? "" : "a SHA-256 is 64 lower-case hexadecimal digits";
      });
  app.add_option("--model-memory", options.model_memory_bytes,
                 "Most memory of each process that runs such a model, e.g. 4GiB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->default_str("4GiB");
  app.add_option("--log-level", flags.log.level, "trace, debug, info, warning, error or off")
      ->capture_default_str();
  app.add_option("--log-format", flags.log.format, "text or json")->capture_default_str();
  app.add_flag("--die-with-parent", flags.die_with_parent)->group("");
}

// What no single flag's check can tell.
absl::Status Check(const Flags& flags) {
  INNERLOOP_RETURN_IF_ERROR(CheckComplete(flags.options.tls));
  INNERLOOP_RETURN_IF_ERROR(ReadTlsFiles(flags.options.tls).status());
  if (flags.device != "auto" && flags.device != "cpu") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--device=", flags.device, ": this build computes on the CPU; auto and cpu are right"));
  }
  for (const auto& [flag, address] : {std::pair("--coordinator", flags.options.coordinator),
                                      std::pair("--metrics-listen", flags.metrics_listen),
                                      std::pair("--health-listen", flags.health_listen)}) {
    const bool listens = absl::string_view(flag) != "--coordinator";
    if (listens && address.empty()) {
      continue;
    }
    const auto parsed = ParseHostPort(address);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(flag, ": ", parsed.status().message()));
    }
    const bool metrics = absl::string_view(flag) == "--metrics-listen";
    if (listens && !IsLoopback(parsed->host) && !flags.insecure &&
        !(metrics && flags.insecure_metrics)) {
      return absl::InvalidArgumentError(absl::StrCat(
          flag, "=", address, " can be reached from other machines without protection: give ",
          metrics ? "--insecure-metrics" : "--insecure",
          " if that is meant, or listen on 127.0.0.1"));
    }
  }
  return absl::OkStatus();
}

// Waits for SIGTERM and SIGINT, which every other thread has blocked: the first drains the worker,
// the second ends the process at once.
class SignalThread {
 public:
  // To be called before any thread starts.
  static sigset_t Block() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);  // ends the thread
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
  }
  SignalThread(const sigset_t& signals, Worker& worker)
      : thread_([signals, &worker] {
          bool told = false;
          int signal = 0;
          while (sigwait(&signals, &signal) == 0 && signal != SIGUSR1) {
            if (told) {
              spdlog::warn("leaving at once");
              _exit(kFailed);
            }
            told = true;
            worker.Drain();
          }
        }) {}
  ~SignalThread() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  std::thread thread_;
};

int Fail(const absl::Status& status, int code) {
  std::cerr << "innerloop-worker: " << std::string(status.message()) << std::endl;
  return code;
}

// Users' models run in processes of their own, everything else in this one.
ProgramFactory Programs(const Options& options) {
  return [&options](const v1::JobDescription& job, std::shared_ptr<const Dataset> data_set,
                    uint64_t max_parameters) -> absl::StatusOr<std::unique_ptr<meta::Program>> {
    const v1::JobSpec& spec = job.spec();
    if (!spec.model().has_torchscript()) {
      return data_set == nullptr && job.has_data_set()
                 ? meta::Program::CreateWithoutData(spec, &job.data_set(), max_parameters)
                 : meta::Program::Create(spec, std::move(data_set), max_parameters);
    }
    ModelFiles files{.model = spec.model().torchscript().file()};
    if (data_set != nullptr) {
      files.data_set = CacheFolder(options.cache_dir, options.max_cache_bytes)
                           .DataSet(*DataUseOf(spec.tasks()).sha256);
    }
    return ModelProgram::Create(job, files, std::move(data_set), max_parameters,
                                {.memory_bytes = options.model_memory_bytes});
  };
}

int Serve(Flags& flags, const sigset_t& signals) {
  const v1::NumericsFingerprint fingerprint = meta::Fingerprint();
  const absl::StatusOr<absl::Time> certificate_end = CertificateEnd(flags.options.tls);
  if (!certificate_end.ok()) {
    return Fail(certificate_end.status(), kBadUsage);
  }
  auto metrics = Metrics::Create(flags.metrics_listen,
                                 {kVersion, meta::LibTorchVersion(), FingerprintText(fingerprint)},
                                 *certificate_end);
  if (!metrics.ok()) {
    return Fail(metrics.status(), kFailed);
  }
  std::unique_ptr<HealthServer> health;
  if (!flags.health_listen.empty()) {
    auto server = HealthServer::Create(flags.health_listen);
    if (!server.ok()) {
      return Fail(server.status(), kFailed);
    }
    health = *std::move(server);
  }
  // Others reach an address that stands for all of this machine's by its name.
  flags.options.metrics_address = ReachableAddress((*metrics)->address(), HostName());
  absl::BitGen random;
  auto worker = Worker::Create(
      flags.options, {.create_program = Programs(flags.options),
                      .prepare_thread = meta::PrepareComputeThread,
                      .fingerprint = fingerprint,
                      .metrics = **metrics,
                      .clock = Clock::Real(),
                      .uniform = [&random] { return absl::Uniform<double>(random, 0, 1); },
                      .on_connected =
                          [&health](bool connected) {
                            if (health != nullptr) {
                              health->SetServing(connected);
                            }
                          }});
  if (!worker.ok()) {
    return Fail(worker.status(), kFailed);
  }
  std::cout << "innerloop-worker: metrics on "
            << ((*metrics)->address().empty() ? "none" : (*metrics)->address()) << ", health on "
            << (health == nullptr ? "none" : health->address()) << std::endl;
  absl::Status status;
  {
    const SignalThread signal_thread(signals, **worker);
    status = (*worker)->Run();
  }
  if (!status.ok()) {
    // The hanging slot's thread cannot be ended, and destructors would wait for it.
    spdlog::error("{}", std::string(status.message()));
    spdlog::shutdown();
    _exit(kFailed);
  }
  worker->reset();
  spdlog::shutdown();
  // Taking down the metrics page would hold things up for seconds.
  std::_Exit(kDone);
}

int Main(int argc, char** argv) {
  CheckMutexesInDebugBuildsOnly();
  if (argc > 1 && absl::string_view(argv[1]) == kModelProcessFlag) {
    return ServeModel(argv[2]);
  }
  const sigset_t signals = SignalThread::Block();
  CLI::App app(
      "Computes shards of meta-training jobs for an Innerloop coordinator. SIGTERM lets it finish "
      "what it computes and leave.",
      "innerloop-worker");
  Flags flags;
  Declare(app, flags);
  try {
    app.parse(ParserArguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      return app.exit(error);
    }
    return Fail(
        absl::InvalidArgumentError(absl::StrCat(error.what(), " (see: innerloop-worker --help)")),
        kBadUsage);
  }
  if (flags.die_with_parent) {
    DieWithParent();
  }
  if (const absl::Status status = SetUpLogging(flags.log); !status.ok()) {
    return Fail(status, kBadUsage);
  }
  SendGrpcLogToOurs();
  if (const absl::Status status = Check(flags); !status.ok()) {
    return Fail(status, kBadUsage);
  }
  return Serve(flags, signals);
}

}  // namespace
}  // namespace innerloop::worker

int main(int argc, char** argv) { return innerloop::worker::Main(argc, argv); }
