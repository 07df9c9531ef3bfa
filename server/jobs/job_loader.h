// What jobs begin with: from a request, or from what is stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "innerloop/v1/training.pb.h"
#include "server/jobs/job_runner.h"
#include "server/storage/checkpoint_store.h"
#include "server/storage/data_set_store.h"
#include "server/storage/state_store.h"

namespace innerloop::server {

// A checked specification with what it refers to.
struct Submission {
  v1::JobSpec spec;
  std::optional<v1::DataSetDescription> data_set;
  // For the row's warnings.
  std::vector<std::string> doubts;
  // Of spec.init_from.
  std::optional<Checkpoint> init_from;
};

// Resolves a user's specification against the stored data sets and checkpoints. Blocks on files.
// INVALID_ARGUMENT, NOT_FOUND or DATA_LOSS.
absl::StatusOr<Submission> Prepare(const v1::JobSpec& spec, DataSetStore& data_sets,
                                   CheckpointStore& checkpoints);

// The same for what a job that is there shall become, as ReviseJob has it: INVALID_ARGUMENT lists
// fields that may not differ.
absl::StatusOr<v1::JobSpec> PrepareRevision(const v1::JobSpec& before, const v1::JobSpec& spec,
                                            DataSetStore& data_sets);

// Resolves the job of a checkpoint that a user sent, which need not be what a coordinator wrote,
// but is used from then on. INVALID_ARGUMENT says what of it cannot be.
absl::Status ResolveSent(v1::CheckpointMetadata& metadata);

// The data set of a resolved job; nullopt for generated tasks. NOT_FOUND when it was removed, with
// how to bring it back.
absl::StatusOr<std::optional<v1::DataSetDescription>> FindDataSet(const v1::JobSpec& spec,
                                                                  DataSetStore& data_sets);

// NOT_FOUND when the job runs a user's model that is not stored.
absl::Status CheckModel(const v1::JobSpec& spec, DataSetStore& data_sets);

// INVALID_ARGUMENT when the job's data set, nullopt for generated tasks, has too little for an
// evaluation by a resolved protocol. Blocks on files.
absl::Status CheckProtocol(const v1::JobSpec& resolved, const v1::EvaluationProtocol& protocol,
                           const std::optional<v1::DataSetDescription>& data_set,
                           const DataSetStore& data_sets);

// What a stored job goes on from: its newest good checkpoint, after the history beyond it was
// forgotten. nullopt: there is none, and no history was forgotten. Damaged checkpoints, and what
// they cost, become the row's warnings, in place of those it has. Blocks on files.
absl::StatusOr<std::optional<JobRunner::Past>> LoadPast(v1::Job& row, StateStore& state,
                                                        CheckpointStore& checkpoints);

// The checkpoint, by job and iteration, that a job begins from, also after a restart: until it has
// one of its own.
std::optional<std::pair<std::string, uint64_t>> BeginsFrom(const v1::Job& row);

// "JOB" of "JOB", "JOB@ITERATION" or "JOB@best", and of the wire id of what is done for a job.
std::string JobOfReference(const std::string& reference);

}  // namespace innerloop::server
