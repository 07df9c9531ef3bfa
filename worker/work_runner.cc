#include "worker/work_runner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop::worker {
namespace {

std::string Describe(const v1::WorkItem& work) {
  switch (work.kind_case()) {
    case v1::WorkItem::kInitialise:
      return absl::StrCat("the initialisation of job ", work.job_id());
    case v1::WorkItem::kShard:
      return absl::StrCat("tasks ", work.shard().first_task(), " to ", work.shard().last_task(),
                          " of iteration ", work.shard().iteration(), " of job ", work.job_id());
    case v1::WorkItem::kAdaptation:
      return absl::StrCat("an adaptation of job ", work.job_id());
    default:
      return absl::StrCat("an evaluation of job ", work.job_id());
  }
}

absl::Status Initialise(const meta::Program& program, WorkOutcome& outcome) {
  INNERLOOP_ASSIGN_OR_RETURN(outcome.buffer, program.Initialise());
  *outcome.result.mutable_layout() = program.layout().ToProto();
  return absl::OkStatus();
}

absl::Status RunShard(const meta::Program& program, const FlatBuffer& parameters,
                      const v1::Shard& shard, WorkOutcome& outcome) {
  INNERLOOP_ASSIGN_OR_RETURN(meta::ShardOutput output, program.RunShard(parameters, shard));
  outcome.buffer = std::move(output.update);
  *outcome.result.mutable_metrics() = std::move(output.metrics);
  return absl::OkStatus();
}

absl::Status RunEvaluation(const meta::Program& program, const FlatBuffer& parameters,
                           const v1::EvaluationShard& shard, WorkOutcome& outcome) {
  INNERLOOP_ASSIGN_OR_RETURN(*outcome.result.mutable_evaluation(),
                             program.RunEvaluation(parameters, shard));
  return absl::OkStatus();
}

absl::Status Adapt(const meta::Program& program, const FlatBuffer& parameters,
                   const v1::AdaptationTask& task, WorkOutcome& outcome) {
  INNERLOOP_ASSIGN_OR_RETURN(meta::AdaptationOutput output, program.Adapt(parameters, task));
  const size_t bytes = output.file.size();
  outcome.buffer = FlatBuffer(static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float)));
  if (bytes > 0) {
    std::memcpy(outcome.buffer.mutable_bytes(), output.file.data(), bytes);
  }
  *outcome.result.mutable_adaptation() = std::move(output.result);
  return absl::OkStatus();
}

}  // namespace

absl::Status Compute(const meta::Program& program, const v1::WorkItem& work,
                     const FlatBuffer* parameters, WorkOutcome& outcome) {
  if (work.kind_case() == v1::WorkItem::kInitialise) {
    return Initialise(program, outcome);
  }
  if (parameters->size() != program.layout().flat_size()) {
    return absl::InternalError(
        absl::StrCat("job ", work.job_id(), " came with ", parameters->size(),
                     " values of parameters; its layout has ", program.layout().flat_size()));
  }
  if (work.kind_case() == v1::WorkItem::kShard) {
    return RunShard(program, *parameters, work.shard(), outcome);
  }
  if (work.kind_case() == v1::WorkItem::kAdaptation) {
    return Adapt(program, *parameters, work.adaptation(), outcome);
  }
  return RunEvaluation(program, *parameters, work.evaluation(), outcome);
}

uint64_t MaxParameters(uint64_t memory) { return memory / (4 * sizeof(float)); }

WorkOutcome RunWork(const v1::WorkItem& work, Job& job, const FlatBuffer* parameters,
                    uint64_t max_parameters, Slot& slot) {
  WorkOutcome outcome;
  // Too large for the coordinator's own limit is the job's fault; too large for this machine is
  // not: another worker may hold it.
  const auto fail = [&outcome](const absl::Status& status, bool own_limit) {
    const bool declined =
        (own_limit && absl::IsResourceExhausted(status)) || absl::IsPermissionDenied(status);
    outcome.kind = declined ? WorkOutcome::Kind::kDeclined : WorkOutcome::Kind::kFailed;
    outcome.status = status;
  };
  const JobUse use = work.has_adaptation() ? JobUse::kAdaptation : JobUse::kFull;
  if (const absl::Status status = job.LoadFiles(use); !status.ok()) {
    fail(status, /*own_limit=*/true);
    return outcome;
  }
  uint64_t allowed = max_parameters;
  if (work.has_initialise() && work.initialise().max_parameters() > 0) {
    allowed = std::min(allowed, work.initialise().max_parameters());
  }
  const auto program = job.Program(use, allowed);
  if (!program.ok()) {
    fail(program.status(), /*own_limit=*/allowed == max_parameters);
    return outcome;
  }
  slot.BeginComputing(Describe(work), job.patience());
  outcome.status = Compute(**program, work, parameters, outcome);
  outcome.computing = slot.EndComputing();
  outcome.kind = outcome.status.ok() ? WorkOutcome::Kind::kDone : WorkOutcome::Kind::kFailed;
  outcome.result.set_work_id(work.id());
  outcome.result.set_compute_seconds(absl::ToDoubleSeconds(outcome.computing));
  return outcome;
}

}  // namespace innerloop::worker
