#include "server/jobs/job_machine.h"

#include <map>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

constexpr v1::JobState kStates[] = {
    v1::JOB_STATE_QUEUED,    v1::JOB_STATE_RUNNING, v1::JOB_STATE_PAUSED,   v1::JOB_STATE_FINISHING,
    v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_FAILED,  v1::JOB_STATE_CANCELLED};
constexpr JobEvent kEvents[] = {JobEvent::kInitialised,    JobEvent::kPause,     JobEvent::kResume,
                                JobEvent::kIterationsDone, JobEvent::kSucceeded, JobEvent::kFailed,
                                JobEvent::kCancel,         JobEvent::kExtend};

TEST(JobMachineTest, EveryTransitionIsAsWrittenDown) {
  const auto Q = v1::JOB_STATE_QUEUED, R = v1::JOB_STATE_RUNNING, P = v1::JOB_STATE_PAUSED,
             F = v1::JOB_STATE_FINISHING, S = v1::JOB_STATE_SUCCEEDED, X = v1::JOB_STATE_FAILED,
             C = v1::JOB_STATE_CANCELLED;
  // Of an initialised job; what is missing is refused.
  const std::map<std::pair<v1::JobState, JobEvent>, v1::JobState> table = {
      {{Q, JobEvent::kInitialised}, R},    {{P, JobEvent::kInitialised}, P},
      {{Q, JobEvent::kPause}, P},          {{R, JobEvent::kPause}, P},
      {{P, JobEvent::kPause}, P},          {{P, JobEvent::kResume}, R},
      {{Q, JobEvent::kResume}, Q},         {{R, JobEvent::kResume}, R},
      {{R, JobEvent::kIterationsDone}, F}, {{F, JobEvent::kSucceeded}, S},
      {{Q, JobEvent::kFailed}, X},         {{R, JobEvent::kFailed}, X},
      {{P, JobEvent::kFailed}, X},         {{F, JobEvent::kFailed}, X},
      {{Q, JobEvent::kCancel}, C},         {{R, JobEvent::kCancel}, C},
      {{P, JobEvent::kCancel}, C},         {{F, JobEvent::kCancel}, C},
      {{S, JobEvent::kCancel}, S},         {{X, JobEvent::kCancel}, X},
      {{C, JobEvent::kCancel}, C},         {{Q, JobEvent::kExtend}, Q},
      {{R, JobEvent::kExtend}, R},         {{P, JobEvent::kExtend}, P},
      {{S, JobEvent::kExtend}, R},
  };
  for (v1::JobState state : kStates) {
    for (JobEvent event : kEvents) {
      JobMachine machine(state);
      const absl::Status status = machine.Apply(event, /*initialised=*/true);
      const auto it = table.find({state, event});
      if (it == table.end()) {
        EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition)
            << JobMachine::Name(state) << " event " << static_cast<int>(event);
        EXPECT_THAT(std::string(status.message()), HasSubstr(JobMachine::Name(state)));
        EXPECT_EQ(machine.state(), state);
      } else {
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(machine.state(), it->second);
      }
    }
  }
}

TEST(JobMachineTest, AJobPausedBeforeItsInitialisationIsQueuedAgain) {
  JobMachine machine(v1::JOB_STATE_PAUSED);
  ASSERT_TRUE(machine.Apply(JobEvent::kResume, /*initialised=*/false).ok());
  EXPECT_EQ(machine.state(), v1::JOB_STATE_QUEUED);
}

}  // namespace
}  // namespace innerloop::server
