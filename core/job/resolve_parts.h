// The parts of ResolveJobSpec, one for each part of a job. Each fills in defaults in place and
// checks. Private to core/job.
#pragma once

#include "absl/status/status.h"
#include "core/job/job_spec.h"

namespace innerloop::job {

// Needs no data set.
absl::Status ResolveTasks(v1::TaskSource& tasks);
// What the data set decides: enough classes and examples.
absl::Status CheckAgainstDataSet(const v1::JobSpec& spec, const v1::DataSetDescription& data_set);
// `shape` is null while the data set is not known.
absl::Status ResolveModel(v1::ModelSpec& model, const TaskShape* shape);
absl::Status ResolveLoss(v1::JobSpec& spec);
absl::Status ResolveAlgorithm(v1::Algorithm& algorithm, const v1::TaskSource& tasks);
absl::Status ResolveOuterOptimizer(v1::OuterOptimizer& optimizer);
absl::Status ResolveSchedules(v1::JobSpec& spec);

}  // namespace innerloop::job
