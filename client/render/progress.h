// A job's progress as one line, and its curves.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>

#include "client/render/chart.h"
#include "client/render/live_line.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// Told what a watch tells; writes to a LiveLine. One thread only.
class Progress {
 public:
  // `line` outlives it. With a chart, curves are drawn above the line where it is on a terminal.
  explicit Progress(LiveLine& line, bool chart = false) : line_(line), chart_(chart) {}

  void OnEvents(const v1::JobEvents& events);
  // "iteration 12,300 of 70,000 (17 %), 1,053/s, 54 s left, meta-loss 0.6123, validation ..."
  std::string Text() const;
  uint64_t iteration() const { return iteration_; }

 private:
  LiveLine& line_;
  const bool chart_;
  TrainingCurves curves_;
  v1::Job job_;
  uint64_t iteration_ = 0;
  // Iterations told, and the seconds of training that they took; without what was done before.
  uint64_t told_ = 0;
  double seconds_ = 0;
  std::optional<double> last_seconds_;
  std::set<std::string> warned_;
  // Of the last iterations, for a mean that is neither jumpy nor stale.
  std::deque<v1::IterationRecord> recent_;
  std::string evaluation_;
  uint64_t tenths_told_ = 0;
  std::string waiting_told_;
};

}  // namespace innerloop::client
