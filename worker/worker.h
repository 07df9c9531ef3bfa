// A worker process without its flags, metrics page and signals.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/work.pb.h"
#include "worker/backoff.h"
#include "worker/data_set_cache.h"
#include "worker/job.h"
#include "worker/metrics.h"
#include "worker/options.h"
#include "worker/session.h"
#include "worker/slot_pool.h"

namespace innerloop::worker {

// Keeps a session with the coordinator, one after the other, until it is told to drain. Made by
// main.cc and by tests and benchmarks, which put their own programs in. Drain may be called from
// any thread, everything else from one.
class Worker final : private SessionListener {
 public:
  struct Dependencies {
    ProgramFactory create_program;
    // Called in each compute thread before it computes: meta::PrepareComputeThread.
    std::function<void()> prepare_thread;
    v1::NumericsFingerprint fingerprint;
    Metrics& metrics;
    const Clock& clock;
    // Numbers in [0, 1) for the back-off's jitter.
    std::function<double()> uniform;
    // Told when the coordinator has accepted this worker and when it is lost.
    std::function<void(bool)> on_connected;
  };
  // UNAVAILABLE when the cache folder cannot be made.
  static absl::StatusOr<std::unique_ptr<Worker>> Create(const Options& options,
                                                        Dependencies dependencies);
  // Waits for what the slots are computing.
  ~Worker() override;

  // Connects, computes and connects again, until Drain (OK), or until a slot hangs (INTERNAL says
  // which and with what): then its thread cannot be stopped and the process has to end.
  absl::Status Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Returns work that has not begun, finishes and sends the rest; then Run returns.
  void Drain() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class State { kConnecting, kConnected, kClosed };

  Worker(const Options& options, Dependencies dependencies,
         std::unique_ptr<DataSetCache> data_sets);
  void OnWelcome(const v1::Welcome& welcome) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnClosed(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);
  // One session from beginning to end, and living through it. A status that is not OK: a slot
  // hangs.
  absl::Status Connect(const std::shared_ptr<grpc::ChannelCredentials>& credentials);
  absl::Status Serve(Session& session) ABSL_LOCKS_EXCLUDED(mu_);
  // For people; empty when that was meant.
  std::string WhyClosed() ABSL_LOCKS_EXCLUDED(mu_);
  // How long to wait before the next session.
  absl::Duration WaitAfterClose() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CheckSlots() const;
  bool AwaitDrain(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  const Dependencies dependencies_;
  const std::unique_ptr<DataSetCache> data_sets_;
  Backoff backoff_;

  absl::Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  State state_ ABSL_GUARDED_BY(mu_) = State::kConnecting;
  absl::Duration heartbeat_ ABSL_GUARDED_BY(mu_);
  absl::Status closed_with_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> connected_at_ ABSL_GUARDED_BY(mu_);
  // What was last said about a connection that is not there.
  std::string complaint_ ABSL_GUARDED_BY(mu_);

  SessionContext context_;
  // After what its threads use, so that they end first.
  SlotPool slots_;
};

}  // namespace innerloop::worker
