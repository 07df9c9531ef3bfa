// A private cluster: a coordinator and workers of this machine, for `train` and `evaluate FILE`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/api/cancellation.h"
#include "client/local/supervised_process.h"

namespace innerloop::client {

struct LocalClusterOptions {
  // Absolute path of the coordinator's state folder. Logs go to its folder "logs".
  std::string state_dir;
  // Folder of innerloop-coordinator and innerloop-worker.
  std::string program_folder;
  // HOST:PORT of the coordinator's metrics; port 0 takes any.
  std::string metrics_listen = "127.0.0.1:0";
  // Absolute path for TensorBoard's event files; empty: none are written.
  std::string tensorboard_dir;
  // Serves what is stored and goes on with no job.
  bool at_rest = false;
  int workers = 1;
  // Compute threads of each worker.
  int slots = 1;
  // SHA-256 of users' models that the workers may run.
  std::vector<std::string> allow_models;
  // How long a coordinator may take until it listens.
  absl::Duration start_patience = absl::Seconds(30);
  // What people should know, e.g. that a worker died and is started again. Called from any thread.
  std::function<void(const std::string& notice)> notice;
};

// Processes on loopback that end with this one, however it ends. A process that dies is started
// again; one that keeps dying cancels `cancellation` with the reason and the last lines of its log.
// Thread-safe.
class LocalCluster {
 public:
  // Starts the coordinator and waits until it listens. `cancellation` outlives the cluster.
  // INVALID_ARGUMENT when it refuses the state folder or the ports.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Start(LocalClusterOptions options,
                                                             Cancellation& cancellation);
  ~LocalCluster();

  std::string address() const;
  // Empty when there are none.
  std::string metrics_address() const;

  void StartWorkers();
  // The coordinator finishes the iteration under way and writes a checkpoint, then the workers go.
  // What does not end in `patience` is killed; false then.
  bool Stop(absl::Duration patience);
  // Everything, now. Stop() in another thread returns early then.
  void Kill();

 private:
  LocalCluster(LocalClusterOptions options, Cancellation& cancellation);
  std::vector<std::string> CoordinatorArguments() const;
  std::vector<std::string> WorkerArguments(int index) const;
  void OnCoordinatorLine(absl::string_view line);
  SupervisedProcess::Events EventsOf();
  absl::Status AwaitCoordinator();
  // Valid while the cluster lives.
  std::vector<SupervisedProcess*> Workers() const;

  const LocalClusterOptions options_;
  Cancellation& cancellation_;
  mutable absl::Mutex mu_;
  std::string address_ ABSL_GUARDED_BY(mu_);
  std::string metrics_address_ ABSL_GUARDED_BY(mu_);
  // Why a process stays dead; OK while none does.
  absl::Status given_up_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<SupervisedProcess>> workers_ ABSL_GUARDED_BY(mu_);
  // Set by the constructor. Last, because its thread uses the rest.
  std::unique_ptr<SupervisedProcess> coordinator_;
};

// Folder of the program that runs.
std::string OwnProgramFolder();

}  // namespace innerloop::client
