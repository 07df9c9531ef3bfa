// A child process that is started again when it dies.
#pragma once

#include <functional>
#include <ios>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/local/child_process.h"
#include "client/local/restart_budget.h"
#include "core/support/clock.h"

namespace innerloop::client {

// Keeps one program running until it is told to stop, from a thread of its own. Thread-safe.
class SupervisedProcess {
 public:
  struct Options {
    // "coordinator", "worker 2": for messages.
    std::string name;
    // Asked before each start, because a restarted coordinator must keep its port.
    std::function<std::vector<std::string>()> arguments;
    std::string log_path;
    // So many restarts in the window; then it stays dead.
    int restarts = 5;
    absl::Duration window = absl::Minutes(1);
    absl::Duration restart_delay = absl::Milliseconds(200);
    const Clock* clock = &Clock::Real();
  };
  // All are called from the process's thread.
  struct Events {
    std::function<void(absl::string_view line)> on_line;
    // It died unasked and is started again.
    std::function<void(const std::string& what)> on_restart;
    // It died unasked and stays dead, or could not be started; with the last lines of its log.
    std::function<void(const absl::Status& why)> on_given_up;
  };

  SupervisedProcess(Options options, Events events);
  // Kills what still runs.
  ~SupervisedProcess();

  // It runs as it should from now on: until then the first death is final, because the reason is
  // its arguments or its surroundings.
  void SetReady();
  // No restart after this; sends the signal, if the program runs.
  void Stop(int signal);
  // Waits until the program ended and will not be started again; false when that took longer.
  bool AwaitEnd(absl::Duration patience);

 private:
  void Loop();
  // Whether to start again.
  bool AfterDeath(const absl::StatusOr<Ending>& ending);

  const Options options_;
  const Events events_;
  absl::Mutex mu_;
  bool ready_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<ChildProcess> child_ ABSL_GUARDED_BY(mu_);
  // The thread's own.
  RestartBudget budget_;
  // Size of the log when the program was started last: earlier runs wrote what is before.
  std::streamoff log_from_ = 0;
  // Last, so that it starts when the rest is there.
  std::thread thread_;
};

}  // namespace innerloop::client
