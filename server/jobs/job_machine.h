// The life of a job.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// What moves a job from state to state.
enum class JobEvent {
  kInitialised,     // its parameters are there
  kPause,           // a user's wish
  kResume,          // a user's wish
  kIterationsDone,  // the last outer step was taken
  kSucceeded,       // final evaluation done, final checkpoint durable
  kFailed,
  kCancel,  // a user's wish
  kExtend,  // a user's wish: more iterations, or other schedules
};

// QUEUED -> RUNNING -> FINISHING -> SUCCEEDED, with PAUSED beside the first two, FAILED and
// CANCELLED from each that has not ended, and SUCCEEDED -> RUNNING by kExtend, which changes
// nothing before FINISHING. A pure state machine, used by the JobRunner. Thread-compatible.
class JobMachine {
 public:
  explicit JobMachine(v1::JobState state) : state_(state) {}

  v1::JobState state() const { return state_; }
  bool ended() const { return Ended(state_); }
  static bool Ended(v1::JobState state);
  // Of a state: "QUEUED", "RUNNING", ...
  static std::string Name(v1::JobState state);

  // FAILED_PRECONDITION, saying what the state is and what would be right, when the event is not
  // possible in this state; the state stays. `initialised`: the job's parameters are there (where a
  // resumed job goes on).
  absl::Status Apply(JobEvent event, bool initialised);

 private:
  v1::JobState state_;
};

}  // namespace innerloop::server
