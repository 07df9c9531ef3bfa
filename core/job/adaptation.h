// What can be said about an adaptation to a user's own task before anything is computed. Used by
// the client (early errors) and the coordinator (the word that counts).
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/job/job_spec.h"
#include "innerloop/v1/adaptation.pb.h"
#include "innerloop/v1/checkpoint.pb.h"

namespace innerloop {

// Bytes of inputs in a support set, and of it and the queries of one call.
inline constexpr int64_t kMaxSupportBytes = int64_t{2} << 20;
inline constexpr int64_t kMaxExampleBytes = int64_t{3} << 20;
// Queries times the numbers that answer each.
inline constexpr int64_t kMaxAnswers = 200'000;

// What a checkpoint's model takes. FAILED_PRECONDITION when the metadata lack the data set,
// INVALID_ARGUMENT when they give examples a shape that none can have.
absl::StatusOr<v1::ModelDescription> DescribeModel(const v1::CheckpointMetadata& metadata);
// What a resolved job's model takes, as far as CheckSupport and CheckQueries ask.
v1::ModelDescription DescribeInputs(const v1::JobSpec& resolved, const TaskShape& shape);

// Fills in a rule's defaults: steps and line search as the job's final evaluation has them,
// SUPPORT_STATISTICS. `resolved` is the job. INVALID_ARGUMENT: "rule.inner_steps is ...".
absl::StatusOr<v1::AdaptationRule> ResolveRule(const v1::JobSpec& resolved,
                                               const v1::AdaptationRule& rule);

// INVALID_ARGUMENT when it does not fit the model, naming the field.
absl::Status CheckSupport(const v1::ModelDescription& model, const v1::SupportSet& support);
absl::Status CheckQueries(const v1::ModelDescription& model, const v1::SupportSet& support,
                          const v1::Examples& queries);

// For examples that were checked.
int64_t BytesOf(const v1::Examples& examples);
int64_t CountOf(const v1::Examples& examples);
// Numbers that answer a query.
int64_t AnswerSize(const v1::ModelDescription& model, const v1::SupportSet& support);
// Queries like `one` that fit one call beside this support set.
int64_t MostQueries(const v1::ModelDescription& model, const v1::SupportSet& support,
                    int64_t bytes_of_one);

}  // namespace innerloop
