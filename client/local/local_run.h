// The life of a private cluster inside a command: made, interrupted, stopped.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/local/local_cluster.h"
#include "client/local/signal_watch.h"

namespace innerloop::client {

// A cluster with Ctrl-C: the first signal cancels with CANCELLED ("interrupted"), whereupon the
// command calls Stop(); the second kills the processes. Made before any other thread. One thread
// only; signals come from their own.
class LocalRun {
 public:
  explicit LocalRun(Cancellation& cancellation);
  ~LocalRun();

  absl::Status Start(LocalClusterOptions options);
  // After Start.
  LocalCluster& cluster() { return *cluster_; }
  // False when something had to be killed.
  bool Stop();

 private:
  void OnSignal(int count);

  Cancellation& cancellation_;
  std::unique_ptr<LocalCluster> cluster_;
  absl::Mutex mu_;
  // cluster_ once it is there, for the signals' thread.
  LocalCluster* running_ ABSL_GUARDED_BY(mu_) = nullptr;
  // Last, so that its thread ends first.
  SignalWatch signals_;
};

}  // namespace innerloop::client
