// What can be said about a job only with its data set at hand.
#pragma once

#include "absl/status/status.h"
#include "core/dataset/dataset.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Whether every split that the resolved job trains or is evaluated on has enough classes or groups,
// and they enough examples, for its tasks. INVALID_ARGUMENT: "tasks.episodes.ways is 30; the test
// split of 'digits' has 10 classes".
absl::Status CheckJobAgainstData(const v1::JobSpec& resolved, const Dataset& dataset);

// The same for an evaluation by a resolved protocol, called `field` in messages.
absl::Status CheckProtocolAgainstData(const v1::JobSpec& resolved,
                                      const v1::EvaluationProtocol& protocol,
                                      const Dataset& dataset, absl::string_view field);

}  // namespace innerloop
