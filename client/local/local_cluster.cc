#include "client/local/local_cluster.h"

#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop::client {

std::string OwnProgramFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Start(LocalClusterOptions options,
                                                                  Cancellation& cancellation) {
  for (const char* program : {"innerloop-coordinator", "innerloop-worker"}) {
    const std::string path = absl::StrCat(options.program_folder, "/", program);
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
      return absl::InternalError(absl::StrCat("there is no ", path,
                                              "; innerloop-coordinator and innerloop-worker must "
                                              "lie beside innerloop"));
    }
  }
  INNERLOOP_RETURN_IF_ERROR(
      FileSystem::Real().MakeFolder(absl::StrCat(options.state_dir, "/logs")));
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(std::move(options), cancellation));
  INNERLOOP_RETURN_IF_ERROR(cluster->AwaitCoordinator());
  return cluster;
}

LocalCluster::LocalCluster(LocalClusterOptions options, Cancellation& cancellation)
    : options_(std::move(options)), cancellation_(cancellation) {
  SupervisedProcess::Events events = EventsOf();
  events.on_line = [this](absl::string_view line) { OnCoordinatorLine(line); };
  coordinator_ = std::make_unique<SupervisedProcess>(
      SupervisedProcess::Options{
          .name = "coordinator",
          .arguments = [this] { return CoordinatorArguments(); },
          .log_path = absl::StrCat(options_.state_dir, "/logs/coordinator.log")},
      std::move(events));
}

LocalCluster::~LocalCluster() {
  Kill();
  std::vector<std::unique_ptr<SupervisedProcess>> workers;
  {
    // Their threads take the mutex for their last words.
    const absl::MutexLock lock(&mu_);
    workers.swap(workers_);
  }
  workers.clear();
  coordinator_.reset();
}

std::vector<SupervisedProcess*> LocalCluster::Workers() const {
  const absl::MutexLock lock(&mu_);
  std::vector<SupervisedProcess*> workers;
  for (const auto& worker : workers_) {
    workers.push_back(worker.get());
  }
  return workers;
}

std::string LocalCluster::address() const {
  const absl::MutexLock lock(&mu_);
  return address_;
}

std::string LocalCluster::metrics_address() const {
  const absl::MutexLock lock(&mu_);
  return metrics_address_;
}

SupervisedProcess::Events LocalCluster::EventsOf() {
  return {.on_line = [](absl::string_view) {},
          .on_restart = [this](const std::string& what) { options_.notice(what); },
          .on_given_up =
              [this](const absl::Status& why) {
                {
                  const absl::MutexLock lock(&mu_);
                  given_up_.Update(why);
                }
                cancellation_.Cancel(why);
              }};
}

// "innerloop-coordinator: listening on 127.0.0.1:7400, metrics on 127.0.0.1:7401"
void LocalCluster::OnCoordinatorLine(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "innerloop-coordinator: listening on ")) {
    return;
  }
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits(", metrics on ", 1));
  const absl::MutexLock lock(&mu_);
  address_ = std::string(absl::StripAsciiWhitespace(parts.first));
  metrics_address_ = std::string(absl::StripAsciiWhitespace(parts.second));
}

absl::Status LocalCluster::AwaitCoordinator() {
  {
    const absl::MutexLock lock(&mu_);
    const auto known = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return !address_.empty() || !given_up_.ok();
    };
    const bool in_time = mu_.AwaitWithTimeout(absl::Condition(&known), options_.start_patience);
    INNERLOOP_RETURN_IF_ERROR(given_up_);
    if (!in_time) {
      return absl::InternalError(absl::StrCat(
          "the coordinator did not listen within ", absl::FormatDuration(options_.start_patience),
          " (log: ", options_.state_dir, "/logs/coordinator.log)"));
    }
  }
  coordinator_->SetReady();
  return cancellation_.status();
}

std::vector<std::string> LocalCluster::CoordinatorArguments() const {
  const absl::MutexLock lock(&mu_);
  // A restarted coordinator keeps its ports: workers, watches and Prometheus come back to them.
  const std::string& listen = address_.empty() ? "127.0.0.1:0" : address_;
  const std::string& metrics =
      metrics_address_.empty() ? options_.metrics_listen : metrics_address_;
  std::vector<std::string> arguments = {
      absl::StrCat(options_.program_folder, "/innerloop-coordinator"),
      "--state-dir",
      options_.state_dir,
      "--listen",
      listen,
      "--metrics-listen",
      metrics,
      "--tensorboard-dir",
      options_.tensorboard_dir,
      "--die-with-parent"};
  if (options_.at_rest) {
    arguments.emplace_back("--at-rest");
  }
  return arguments;
}

std::vector<std::string> LocalCluster::WorkerArguments(int index) const {
  std::vector<std::string> arguments = {absl::StrCat(options_.program_folder, "/innerloop-worker"),
                                        "--coordinator",
                                        address(),
                                        "--slots",
                                        absl::StrCat(options_.slots),
                                        "--name",
                                        absl::StrCat("worker-", index),
                                        "--die-with-parent"};
  for (const std::string& sha256 : options_.allow_models) {
    arguments.insert(arguments.end(), {"--allow-model", sha256});
  }
  return arguments;
}

void LocalCluster::StartWorkers() {
  for (int i = 1; i <= options_.workers; ++i) {
    auto worker = std::make_unique<SupervisedProcess>(
        SupervisedProcess::Options{
            .name = absl::StrCat("worker ", i),
            .arguments = [this, i] { return WorkerArguments(i); },
            .log_path = absl::StrCat(options_.state_dir, "/logs/worker-", i, ".log")},
        EventsOf());
    worker->SetReady();
    const absl::MutexLock lock(&mu_);
    workers_.push_back(std::move(worker));
  }
}

bool LocalCluster::Stop(absl::Duration patience) {
  const absl::Time until = absl::Now() + patience;
  // The workers stay until the coordinator went: it needs them for the iteration under way.
  coordinator_->Stop(SIGTERM);
  bool in_time = coordinator_->AwaitEnd(patience);
  for (SupervisedProcess* worker : Workers()) {
    worker->Stop(SIGTERM);
  }
  for (SupervisedProcess* worker : Workers()) {
    in_time = worker->AwaitEnd(std::max(absl::ZeroDuration(), until - absl::Now())) && in_time;
  }
  Kill();
  return in_time;
}

void LocalCluster::Kill() {
  coordinator_->Stop(SIGKILL);
  for (SupervisedProcess* worker : Workers()) {
    worker->Stop(SIGKILL);
  }
}

}  // namespace innerloop::client
