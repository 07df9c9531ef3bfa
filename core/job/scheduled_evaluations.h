// The evaluations that a job schedules.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Most inner steps of any evaluation; each adds a measure.
inline constexpr uint32_t kMaxEvaluationSteps = 10'000;

// Calls `check` with each of them and its name in messages, up to the first error, which it
// returns.
absl::Status CheckEach(
    const v1::EvaluationSchedule& schedule,
    absl::FunctionRef<absl::Status(const v1::EvaluationProtocol&, absl::string_view field)> check);

}  // namespace innerloop
