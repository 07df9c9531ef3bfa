// One line of news that changes, on a terminal with a picture above it: drawn over and over there,
// now and then elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"

namespace innerloop::client {

struct TerminalSize {
  size_t columns = 80;
  size_t rows = 24;
};

struct LiveLineOptions {
  // Null: nothing is shown.
  std::ostream* out = nullptr;
  bool terminal = false;
  // As it is now: people change it. Longer lines are cut, because a wrapped one cannot be drawn
  // over.
  std::function<TerminalSize()> size = [] { return TerminalSize(); };
  const Clock* clock = &Clock::Real();
};

// Used by commands that take long, from any of their threads. Thread-safe.
class LiveLine {
 public:
  explicit LiveLine(LiveLineOptions options) : options_(std::move(options)) {}
  ~LiveLine() { Close(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  // Lines for a terminal of that size.
  using Picture = std::function<std::vector<std::string>(TerminalSize)>;

  // Texts are put on one line and made harmless, as OneLine does: they hold what others wrote.

  // What is to be seen now: on a terminal redrawn at most 10 times a second (with a picture: 4),
  // elsewhere written when 5 seconds have passed since the last time, or when `important`. The
  // picture is asked for on this thread, when it is drawn; empty: none.
  void Update(const std::string& text, bool important = false, const Picture& picture = {});
  // A line that stays.
  void Print(const std::string& line);
  // Takes the changing line off the terminal. The picture stays as it was last.
  void Close();

 private:
  // The lines, without a line feed after the last one.
  void Draw(const std::vector<std::string>& lines) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DrawAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Erase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const LiveLineOptions options_;
  absl::Mutex mu_;
  std::string text_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> picture_ ABSL_GUARDED_BY(mu_);
  // Widths of the lines that are on the terminal.
  std::vector<size_t> drawn_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> last_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::client
