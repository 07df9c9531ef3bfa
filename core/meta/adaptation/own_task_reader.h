// A user's task as it came over the wire.
#pragma once

#include "absl/status/statusor.h"
#include "core/job/feature_statistics.h"
#include "core/meta/algorithms/own_task.h"
#include "innerloop/v1/adaptation.pb.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::meta {

// Checks everything and makes tensors of it. `statistics`, of the job's data set, may be null or
// empty: then features stay as they are. INVALID_ARGUMENT names the field, what it has and what the
// model takes.
absl::StatusOr<OwnTask> ReadOwnTask(const v1::AdaptationTask& task,
                                    const v1::ModelDescription& model,
                                    const FeatureStatistics* statistics);

}  // namespace innerloop::meta
