// A program that runs below this process: started with its own process group, its output kept.
#pragma once

#include <functional>
#include <ios>
#include <string>
#include <vector>

#include <sys/types.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace innerloop::client {

// How a process ended.
struct Ending {
  bool signalled = false;
  // Exit code, or the signal's number.
  int code = 0;
  // "exited with code 2", "was killed by signal 9 (Killed)".
  std::string ToString() const;
};

// One run of a program. The thread that starts it must live as long as it does, because the kernel
// kills the child when that thread ends (PR_SET_PDEATHSIG), so that a killed client leaves nothing
// running. Run() is called once, by that thread; Signal() is thread-safe.
class ChildProcess {
 public:
  // Starts arguments[0] with `arguments`, appends its standard error and output to the file
  // `log_path`, calls `on_line` for each line of standard output, and returns when it has ended.
  absl::StatusOr<Ending> Run(const std::vector<std::string>& arguments, const std::string& log_path,
                             const std::function<void(absl::string_view line)>& on_line);

  // To the program and whatever it started, which may hold its output open. Nothing when it does
  // not run; a signal sent before Run started the program is sent then.
  void Signal(int signal);

 private:
  absl::Status Start(const std::vector<std::string>& arguments, int log, int& output);
  Ending Reap();

  absl::Mutex mu_;
  pid_t pid_ ABSL_GUARDED_BY(mu_) = -1;
  int pending_signal_ ABSL_GUARDED_BY(mu_) = 0;
};

// The last lines of a file from byte `from` on, for messages; empty when it cannot be read.
std::string LastLines(const std::string& path, int lines, std::streamoff from = 0);

}  // namespace innerloop::client
