// Progress of several jobs as one line, and their mean curves.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/render/chart.h"
#include "client/render/live_line.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// Told what the jobs' watches tell, each from a thread of its own; writes to a LiveLine.
// Thread-safe.
class GroupProgress {
 public:
  // `line` outlives it. `labels` name the jobs in messages: "seed 3". With a chart, curves are
  // drawn above the line where it is on a terminal.
  GroupProgress(LiveLine& line, std::vector<std::string> labels, std::vector<v1::Job> jobs,
                bool chart = false);

  // Of job `index`.
  void OnEvents(size_t index, const v1::JobEvents& events);
  // "3 jobs, 1 ended: iteration 12,300 of 210,000 (5 %), 1,053/s, 3 min 8 s left"
  std::string Text() const;
  // Over all jobs.
  uint64_t iteration() const;

 private:
  std::string TextLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t Iteration() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  LiveLine& line_;
  const std::vector<std::string> labels_;
  const bool chart_;
  mutable absl::Mutex mu_;
  std::vector<v1::Job> jobs_ ABSL_GUARDED_BY(mu_);
  std::vector<TrainingCurves> curves_ ABSL_GUARDED_BY(mu_);
  std::vector<std::set<std::string>> warned_ ABSL_GUARDED_BY(mu_);
  uint64_t tenths_told_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace innerloop::client
