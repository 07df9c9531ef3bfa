// What the parts of an iteration or an evaluation measured, put together in the order of their
// indices, so that means too are the same whatever came in first.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "innerloop/v1/training.pb.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::server {

// Fills the record's means over all tasks. A quantity is there when every part has it.
void FillMeans(const std::vector<v1::TaskMetrics>& parts, v1::IterationRecord& record);

// INVALID_ARGUMENT unless the sums are over `episodes` episodes and have a value for each of
// 0..inner_steps.
absl::Status CheckSums(const v1::EvaluationSums& sums, uint64_t episodes,
                       const v1::EvaluationProtocol& protocol);

// Means and 95 % intervals over all episodes, one StepMeasure for each of 0..inner_steps.
void FillSteps(const std::vector<v1::EvaluationSums>& parts, v1::Evaluation& evaluation);

// The measure that best checkpoints are chosen by, of the last inner step: larger is better
// (accuracy, else the negative loss).
double Goodness(const v1::Evaluation& evaluation);

}  // namespace innerloop::server
