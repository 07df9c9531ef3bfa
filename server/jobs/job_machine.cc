#include "server/jobs/job_machine.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace innerloop::server {
namespace {

// What went wrong when an event is not possible: the rule that it breaks.
const char* RuleOf(JobEvent event) {
  switch (event) {
    case JobEvent::kInitialised:
      return "only a queued or paused job is initialised";
    case JobEvent::kPause:
      return "only a queued or running job can be paused";
    case JobEvent::kResume:
      return "only a paused job can be resumed";
    case JobEvent::kIterationsDone:
      return "only a running job finishes";
    case JobEvent::kSucceeded:
      return "only a finishing job succeeds";
    case JobEvent::kFailed:
    case JobEvent::kCancel:
      return "it has ended";
    case JobEvent::kExtend:
      return "a job can be extended or revised while it is queued, running or paused, and after it "
             "has SUCCEEDED";
  }
  return "";
}

v1::JobState After(v1::JobState state, JobEvent event, bool initialised) {
  switch (event) {
    case JobEvent::kInitialised:
      return state == v1::JOB_STATE_QUEUED   ? v1::JOB_STATE_RUNNING
             : state == v1::JOB_STATE_PAUSED ? state
                                             : v1::JOB_STATE_UNSPECIFIED;
    case JobEvent::kPause:
      return state == v1::JOB_STATE_QUEUED || state == v1::JOB_STATE_RUNNING ||
                     state == v1::JOB_STATE_PAUSED
                 ? v1::JOB_STATE_PAUSED
                 : v1::JOB_STATE_UNSPECIFIED;
    case JobEvent::kResume:
      if (state == v1::JOB_STATE_RUNNING || state == v1::JOB_STATE_QUEUED) {
        return state;
      }
      if (state == v1::JOB_STATE_PAUSED) {
        return initialised ? v1::JOB_STATE_RUNNING : v1::JOB_STATE_QUEUED;
      }
      return v1::JOB_STATE_UNSPECIFIED;
    case JobEvent::kIterationsDone:
      return state == v1::JOB_STATE_RUNNING ? v1::JOB_STATE_FINISHING : v1::JOB_STATE_UNSPECIFIED;
    case JobEvent::kSucceeded:
      return state == v1::JOB_STATE_FINISHING ? v1::JOB_STATE_SUCCEEDED : v1::JOB_STATE_UNSPECIFIED;
    case JobEvent::kFailed:
      return JobMachine::Ended(state) ? v1::JOB_STATE_UNSPECIFIED : v1::JOB_STATE_FAILED;
    case JobEvent::kCancel:
      return JobMachine::Ended(state) ? state : v1::JOB_STATE_CANCELLED;
    case JobEvent::kExtend:
      if (state == v1::JOB_STATE_SUCCEEDED) {
        return v1::JOB_STATE_RUNNING;
      }
      return state == v1::JOB_STATE_FINISHING || JobMachine::Ended(state)
                 ? v1::JOB_STATE_UNSPECIFIED
                 : state;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

}  // namespace

bool JobMachine::Ended(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

std::string JobMachine::Name(v1::JobState state) {
  return std::string(absl::StripPrefix(v1::JobState_Name(state), "JOB_STATE_"));
}

absl::Status JobMachine::Apply(JobEvent event, bool initialised) {
  const v1::JobState next = After(state_, event, initialised);
  if (next == v1::JOB_STATE_UNSPECIFIED) {
    return absl::FailedPreconditionError(absl::StrCat("it is ", Name(state_), "; ", RuleOf(event)));
  }
  state_ = next;
  return absl::OkStatus();
}

}  // namespace innerloop::server
