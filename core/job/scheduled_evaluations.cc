#include "core/job/scheduled_evaluations.h"

#include "core/support/status_macros.h"

namespace innerloop {

absl::Status CheckEach(
    const v1::EvaluationSchedule& schedule,
    absl::FunctionRef<absl::Status(const v1::EvaluationProtocol&, absl::string_view field)> check) {
  if (schedule.every() > 0) {
    INNERLOOP_RETURN_IF_ERROR(check(schedule.periodic(), "evaluation.periodic"));
  }
  return schedule.skip_final() ? absl::OkStatus() : check(schedule.final(), "evaluation.final");
}

}  // namespace innerloop
