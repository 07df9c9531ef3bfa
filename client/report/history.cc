#include "client/report/history.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/render/views.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

using Record = v1::IterationRecord;

constexpr size_t kMostPoints = 2000;
constexpr size_t kMostLogEntries = 2000;

struct Measure {
  const char* key;
  bool fraction;
  bool (*has)(const Record& record);
  double (*value)(const Record& record);
};

constexpr Measure kMeasures[] = {
    {"meta_loss", false, [](const Record&) { return true; },
     [](const Record& record) { return record.meta_loss(); }},
    {"meta_accuracy", true, [](const Record& record) { return record.has_meta_accuracy(); },
     [](const Record& record) { return record.meta_accuracy(); }},
    {"support_loss_before", false,
     [](const Record& record) { return record.has_support_loss_before(); },
     [](const Record& record) { return record.support_loss_before(); }},
    {"support_loss_after", false,
     [](const Record& record) { return record.has_support_loss_after(); },
     [](const Record& record) { return record.support_loss_after(); }},
    {"query_loss_before", false,
     [](const Record& record) { return record.has_query_loss_before(); },
     [](const Record& record) { return record.query_loss_before(); }},
    {"update_norm", false, [](const Record&) { return true; },
     [](const Record& record) { return record.update_norm(); }},
    {"learning_rate", false, [](const Record&) { return true; },
     [](const Record& record) { return record.learning_rate(); }},
};
constexpr size_t kIterationSeconds = std::size(kMeasures);

}  // namespace

JobHistory::JobHistory() {
  for (const Measure& measure : kMeasures) {
    curves_.push_back({measure.key, measure.fraction, Curve(kMostPoints)});
  }
  curves_.push_back({"iteration_seconds", false, Curve(kMostPoints)});
}

void JobHistory::Add(const v1::JobEvents& events) {
  if (events.has_job()) {
    job_ = events.job();
  }
  for (const Record& record : events.iterations()) {
    for (size_t i = 0; i < std::size(kMeasures); ++i) {
      if (kMeasures[i].has(record)) {
        curves_[i].curve.Add(record.iteration(), kMeasures[i].value(record));
      }
    }
    curves_[kIterationSeconds].curve.Add(record.iteration(), record.seconds() - seconds_);
    seconds_ = record.seconds();
    next_iteration_ = record.iteration() + 1;
  }
  evaluations_.insert(evaluations_.end(), events.evaluations().begin(), events.evaluations().end());
}

void JobHistory::Add(const v1::LogEntry& entry) {
  log_.push_back(entry);
  if (log_.size() > kMostLogEntries) {
    log_.pop_front();
  }
}

std::vector<MeasureCurve> JobHistory::Curves() const {
  std::vector<MeasureCurve> curves;
  std::copy_if(curves_.begin(), curves_.end(), std::back_inserter(curves),
               [](const MeasureCurve& measure) { return !measure.curve.buckets().empty(); });
  return curves;
}

absl::StatusOr<JobHistory> FetchHistory(const std::string& id, TrainingClient& client,
                                        UpkeepClient& upkeep) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job now, client.Get(id));
  if (now.iteration() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("job ", id, " has no history to report: it is ",
                                                   StateName(now.state()),
                                                   " and has done no iteration"));
  }
  JobHistory history;
  TrainingClient::Watcher watcher;
  watcher.on_events = [&history](const v1::JobEvents& events) { history.Add(events); };
  watcher.enough = [&history, &now] { return history.next_iteration() >= now.iteration(); };
  INNERLOOP_RETURN_IF_ERROR(client.Watch(id, 0, watcher).status());
  if (history.next_iteration() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("job ", id, " has no history to report: it was made of a checkpoint file"));
  }
  const absl::Status log = upkeep.ReadLog(
      id, /*follow=*/false, [&history](const v1::LogEntry& entry) { history.Add(entry); });
  if (!log.ok() && !absl::IsUnimplemented(log)) {
    return log;
  }
  return history;
}

}  // namespace innerloop::client
