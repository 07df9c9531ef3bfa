// One line of news that changes: drawn over and over on a terminal, now and then elsewhere.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"

namespace innerloop::client {

struct LiveLineOptions {
  // Null: nothing is shown.
  std::ostream* out = nullptr;
  bool terminal = false;
  // Width of the terminal; longer lines are cut, because a wrapped one cannot be drawn over.
  size_t columns = 80;
  const Clock* clock = &Clock::Real();
};

// Used by commands that take long, from any of their threads. Thread-safe.
class LiveLine {
 public:
  explicit LiveLine(LiveLineOptions options) : options_(options) {}
  ~LiveLine() { Close(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  // What is to be seen now: on a terminal redrawn at most 10 times a second, elsewhere written when
  // 5 seconds have passed since the last time, or when `important`.
  void Update(const std::string& text, bool important = false);
  // A line that stays.
  void Print(const std::string& line);
  // Takes the changing line off the terminal.
  void Close();

 private:
  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Erase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const LiveLineOptions options_;
  absl::Mutex mu_;
  std::string text_ ABSL_GUARDED_BY(mu_);
  bool drawn_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Duration> last_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::client
