#include "client/render/progress.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/api/training_client.h"
#include "client/render/chart.h"
#include "client/render/numbers.h"

namespace innerloop::client {
namespace {

constexpr size_t kRecent = 50;

std::string EvaluationText(const v1::Evaluation& evaluation) {
  if (evaluation.steps().empty()) {
    return "";
  }
  const v1::StepMeasure& last = *evaluation.steps().rbegin();
  const std::string split = absl::AsciiStrToLower(
      absl::StripPrefix(v1::Split_Name(evaluation.protocol().split()), "SPLIT_"));
  return absl::StrCat(
      split, " ",
      last.has_accuracy()
          ? absl::StrCat(PercentInterval(last.accuracy(), last.accuracy_ci95()), " %")
          : LossInterval(last.loss(), last.loss_ci95()),
      " after ", last.step(), last.step() == 1 ? " step" : " steps");
}

}  // namespace

void Progress::OnEvents(const v1::JobEvents& events) {
  if (events.has_job()) {
    job_ = events.job();
    iteration_ = std::max(iteration_, job_.iteration());
    for (const std::string& warning : job_.warnings()) {
      if (warned_.insert(warning).second) {
        line_.Print(absl::StrCat("warning: ", warning));
      }
    }
  }
  for (const v1::IterationRecord& record : events.iterations()) {
    iteration_ = std::max(iteration_, record.iteration() + 1);
    if (last_seconds_) {
      ++told_;
      seconds_ += record.seconds() - *last_seconds_;
    }
    last_seconds_ = record.seconds();
    curves_.Add(record);
    recent_.push_back(record);
    if (recent_.size() > kRecent) {
      recent_.pop_front();
    }
  }
  for (const v1::Evaluation& evaluation : events.evaluations()) {
    // The final one is the command's result.
    if (!evaluation.final()) {
      evaluation_ = EvaluationText(evaluation);
      line_.Print(absl::StrCat("evaluation of iteration ", Count(evaluation.iteration()), ": ",
                               evaluation_));
    }
  }
  const uint64_t total = job_.spec().iterations();
  const uint64_t tenths = total > 0 ? 10 * iteration_ / total : 0;
  // The chart that stays is the whole one.
  const bool important = tenths > tenths_told_ || job_.waiting_for() != waiting_told_ ||
                         (chart_ && HasEnded(job_.state()));
  tenths_told_ = std::max(tenths, tenths_told_);
  waiting_told_ = job_.waiting_for();
  line_.Update(Text(), important,
               chart_ ? LiveLine::Picture([this](TerminalSize size) {
                 return DrawTrainingCharts({&curves_, 1}, size);
               })
                      : LiveLine::Picture());
}

std::string Progress::Text() const {
  const uint64_t total = job_.spec().iterations();
  std::string text = absl::StrCat("iteration ", Count(iteration_));
  if (total > 0) {
    absl::StrAppend(&text, " of ", Count(total), " (", 100 * iteration_ / total, " %)");
  }
  if (!job_.waiting_for().empty()) {
    return absl::StrCat(text, ", waiting: ", job_.waiting_for());
  }
  const double rate = job_.iterations_per_second() > 0 ? job_.iterations_per_second()
                      : seconds_ > 0                   ? static_cast<double>(told_) / seconds_
                                                       : 0;
  if (job_.state() == v1::JOB_STATE_FINISHING || (total > 0 && iteration_ >= total)) {
    absl::StrAppend(&text, ", finishing: evaluation and checkpoint");
  } else if (rate > 0) {
    absl::StrAppend(&text, ", ", Rate(rate), ", ",
                    Span(absl::Seconds(static_cast<double>(total - iteration_) / rate)), " left");
  }
  if (!recent_.empty()) {
    double loss = 0;
    double accuracy = 0;
    for (const v1::IterationRecord& record : recent_) {
      loss += record.meta_loss();
      accuracy += record.meta_accuracy();
    }
    const auto count = static_cast<double>(recent_.size());
    absl::StrAppend(&text, ", meta-loss ", Loss(loss / count));
    if (recent_.back().has_meta_accuracy()) {
      absl::StrAppend(&text, ", accuracy ", Percent(accuracy / count), " %");
    }
  }
  if (!evaluation_.empty()) {
    absl::StrAppend(&text, ", ", evaluation_);
  }
  return text;
}

}  // namespace innerloop::client
