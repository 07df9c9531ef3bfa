#include "client/render/group_progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/api/training_client.h"
#include "client/render/numbers.h"
#include "client/render/views.h"

namespace innerloop::client {

GroupProgress::GroupProgress(LiveLine& line, std::vector<std::string> labels,
                             std::vector<v1::Job> jobs, bool chart)
    : line_(line),
      labels_(std::move(labels)),
      chart_(chart),
      jobs_(std::move(jobs)),
      curves_(jobs_.size()),
      warned_(jobs_.size()) {}

void GroupProgress::OnEvents(size_t index, const v1::JobEvents& events) {
  const absl::MutexLock lock(&mu_);
  v1::Job& job = jobs_[index];
  uint64_t iteration = job.iteration();
  if (events.has_job()) {
    const bool ended = HasEnded(job.state());
    job = events.job();
    for (const std::string& warning : job.warnings()) {
      if (warned_[index].insert(warning).second) {
        line_.Print(absl::StrCat(labels_[index], ": warning: ", warning));
      }
    }
    if (!ended && HasEnded(job.state())) {
      line_.Print(absl::StrCat(labels_[index], ": job ", job.id(), " ", StateName(job.state()),
                               " at iteration ", Count(job.iteration())));
    }
  }
  for (const v1::IterationRecord& record : events.iterations()) {
    curves_[index].Add(record);
  }
  iteration = std::max(iteration, job.iteration());
  if (!events.iterations().empty()) {
    iteration = std::max(iteration, events.iterations().rbegin()->iteration() + 1);
  }
  job.set_iteration(iteration);
  const uint64_t total = jobs_.size() * jobs_[0].spec().iterations();
  const uint64_t tenths = total > 0 ? 10 * Iteration() / total : 0;
  const bool important = tenths > tenths_told_;
  tenths_told_ = std::max(tenths, tenths_told_);
  LiveLine::Picture picture;
  if (chart_) {
    // Called at once, by this thread.
    picture = [this](TerminalSize size) {
      mu_.AssertHeld();
      return DrawTrainingCharts(curves_, size);
    };
  }
  line_.Update(TextLocked(), important, picture);
}

std::string GroupProgress::Text() const {
  const absl::MutexLock lock(&mu_);
  return TextLocked();
}

uint64_t GroupProgress::iteration() const {
  const absl::MutexLock lock(&mu_);
  return Iteration();
}

uint64_t GroupProgress::Iteration() const {
  uint64_t iteration = 0;
  for (const v1::Job& job : jobs_) {
    iteration += job.iteration();
  }
  return iteration;
}

std::string GroupProgress::TextLocked() const {
  uint64_t total = 0;
  uint64_t left = 0;
  int ended = 0;
  double rate = 0;
  std::string waiting;
  for (const v1::Job& job : jobs_) {
    total += job.spec().iterations();
    if (HasEnded(job.state())) {
      ++ended;
      continue;
    }
    left += job.spec().iterations() - std::min(job.iteration(), job.spec().iterations());
    rate += job.iterations_per_second();
    waiting = job.waiting_for();
  }
  const uint64_t iteration = Iteration();
  std::string text = absl::StrCat(jobs_.size(), jobs_.size() == 1 ? " job, " : " jobs, ", ended,
                                  " ended: iteration ", Count(iteration), " of ", Count(total),
                                  " (", total > 0 ? 100 * iteration / total : 0, " %)");
  if (!waiting.empty()) {
    absl::StrAppend(&text, ", waiting: ", waiting);
  } else if (rate > 0 && left > 0) {
    absl::StrAppend(&text, ", ", Rate(rate), ", ",
                    Span(absl::Seconds(static_cast<double>(left) / rate)), " left");
  }
  return text;
}

}  // namespace innerloop::client
