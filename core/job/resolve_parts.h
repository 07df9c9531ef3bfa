// The parts of ResolveJobSpec, one for each part of a job. Each fills in defaults in place and
// checks. Private to core/job.
#pragma once

#include "absl/status/status.h"
#include "core/job/job_spec.h"

namespace innerloop::job {

// Whether the algorithm classifies by comparing embeddings: nothing adapts in steps.
bool IsMetric(const v1::Algorithm& algorithm);
// What others reported: each entry's bounds.
absl::Status CheckPublished(const v1::JobSpec& spec);
// Needs no data set.
absl::Status ResolveTasks(v1::TaskSource& tasks);
absl::Status ResolveGrouped(v1::GroupedTasks& tasks);
// `field` and `many` are the split's name and what it divides in messages.
absl::Status CheckSplit(absl::string_view field, absl::string_view many,
                        const v1::ClassSplit& split);
absl::Status CheckSplitCounts(absl::string_view field, absl::string_view many,
                              const v1::ClassSplit& split, const std::string& dataset,
                              uint64_t available);
absl::Status CheckDataSetFields(absl::string_view field, const std::string& dataset,
                                const std::string& sha256);
absl::Status CheckGroupedAgainstDataSet(const v1::GroupedTasks& tasks,
                                        const v1::DataSetDescription& data_set);
// Whether padded tasks suit the resolved model, the objective and the algorithm.
absl::Status CheckPadding(const v1::JobSpec& spec);
// Whether the resolved model looks at other examples of the batch.
bool UsesBatchStatistics(const v1::ModelSpec& model);
// That there is one support example where batch norm needs two; `shots` names the field.
absl::Status OneExample(absl::string_view shots);
// Whether the inner loop of a training task sees as many examples as the resolved model needs.
absl::Status CheckTrainingShots(const v1::JobSpec& spec);
// What the data set decides: enough classes and examples.
absl::Status CheckAgainstDataSet(const v1::JobSpec& spec, const v1::DataSetDescription& data_set);
// `shape` is null while the data set is not known.
absl::Status ResolveModel(v1::JobSpec& spec, const TaskShape* shape);
absl::Status ResolveLoss(v1::JobSpec& spec, const TaskShape* shape);
absl::Status ResolveAlgorithm(v1::Algorithm& algorithm, const v1::TaskSource& tasks);
absl::Status ResolveLstmMetaLearner(v1::LstmMetaLearner& learner);
absl::Status ResolveMatchingNetworks(v1::MatchingNetworks& matching);
absl::Status ResolvePrototypicalNetworks(v1::PrototypicalNetworks& prototypical);
// Whether tasks, loss and model are such as a metric method can use; OK for other algorithms.
absl::Status CheckMetric(const v1::JobSpec& spec, const TaskShape* shape);
// `field` is the optimiser's name in messages.
absl::Status ResolveInner(absl::string_view field, v1::InnerOptimizer& inner);
absl::Status CheckInnerSteps(absl::string_view field, uint32_t steps);
// Wants the batches and the algorithm resolved.
absl::Status ResolveObjective(v1::JobSpec& spec);
absl::Status ResolveOuterOptimizer(v1::OuterOptimizer& optimizer);
absl::Status ResolveSchedules(v1::JobSpec& spec);
// Wants all that decides whether an engine can compute the job.
absl::Status ResolveEngine(v1::JobSpec& spec, const TaskShape* shape);

}  // namespace innerloop::job
