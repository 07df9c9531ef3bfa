// What is said about jobs, on its way into their logs.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/log.pb.h"
#include "server/jobs/event_counter.h"
#include "server/storage/recorder.h"

namespace innerloop::server {

// Completes entries and passes them on to the recorder, to those who follow a log, and to the
// program's own log. A job that has much to say is cut short: of INFO and of warnings it may say a
// hundred each in ten seconds; the next one tells how many were left out. Used by the coordinator
// and its parts, also under its lock. Thread-safe.
class JobLog {
 public:
  JobLog(Recorder& recorder, EventCounter& events, const Clock& clock)
      : recorder_(recorder), events_(events), clock_(clock) {}

  // Fills in the time, the source where it is empty (the coordinator), and makes the message a line
  // of at most 1,000 characters.
  void Add(v1::LogEntry entry) ABSL_LOCKS_EXCLUDED(mu_);
  void Add(const std::string& job_id, v1::LogSeverity severity, absl::string_view message);
  // The same for what may happen in every iteration: at most once a minute for a job.
  void AddRarely(v1::LogEntry entry) ABSL_LOCKS_EXCLUDED(mu_);
  // The job is gone.
  void Forget(const std::string& job_id) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // What one job may still say of one kind.
  struct Budget {
    absl::Duration since;
    int said = 0;
    int left_out = 0;
  };
  void AddWithin(v1::LogEntry entry, int kind, int most, absl::Duration window)
      ABSL_LOCKS_EXCLUDED(mu_);

  Recorder& recorder_;
  EventCounter& events_;
  const Clock& clock_;

  absl::Mutex mu_;
  std::map<std::pair<std::string, int>, Budget> budgets_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::server
