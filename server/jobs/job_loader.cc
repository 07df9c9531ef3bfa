#include "server/jobs/job_loader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/adaptation.h"
#include "core/job/check_data.h"
#include "core/job/doubts.h"
#include "core/job/feature_statistics.h"
#include "core/job/job_spec.h"
#include "core/job/task_view.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"
#include "server/iteration/measures.h"

namespace innerloop::server {
namespace {

using google::protobuf::util::MessageDifferencer;

double GoodnessOf(const v1::CheckpointMetadata& metadata) {
  return metadata.has_validation_accuracy() ? metadata.validation_accuracy()
                                            : -metadata.validation_loss();
}

// Whether this evaluation made its version the best one, and the coordinator died before that was
// written: `best` of what is written, by the job's protocol.
bool MissedBest(const v1::Evaluation& evaluation, const v1::JobSpec& spec,
                const std::optional<double>& best) {
  if (evaluation.steps().empty() ||
      !MessageDifferencer::Equals(evaluation.protocol(), spec.evaluation().periodic())) {
    return false;
  }
  const double goodness = Goodness(evaluation);
  return std::isfinite(goodness) && (!best.has_value() || goodness > *best);
}

// Checks the job against its data set, and fills in what follows from the examples. `submission`
// takes what people should know of it; it may be null.
absl::Status CheckExamples(const std::optional<v1::DataSetDescription>& data_set,
                           const DataSetStore& data_sets, v1::JobSpec& resolved,
                           Submission* submission) {
  if (!data_set.has_value()) {
    if (submission != nullptr) {
      submission->doubts = DoubtsAbout(resolved, nullptr);
    }
    return absl::OkStatus();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const auto examples,
                             Dataset::Open(data_sets.PathOf(data_set->sha256())));
  INNERLOOP_RETURN_IF_ERROR(CheckJobAgainstData(resolved, *examples));
  if (submission != nullptr) {
    submission->doubts = DoubtsAbout(resolved, &*examples);
  }
  return FillFeatureStatistics(*examples, *resolved.mutable_tasks());
}

// Workers standardise examples by them, number by number.
absl::Status CheckFeatureStatistics(const v1::GroupedTasks& tasks, const TaskShape& shape) {
  int64_t numbers = 1;
  for (const int64_t length : shape.input) {
    numbers *= length;
  }
  const int means = tasks.feature_means_size();
  const int scales = tasks.feature_scales_size();
  return means == scales && (means == 0 || means == numbers)
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat("tasks.grouped.feature_means has ", means,
                                                       " values and feature_scales ", scales,
                                                       "; an example has ", numbers));
}

}  // namespace

std::string JobOfReference(const std::string& reference) {
  return reference.substr(0, reference.find('@'));
}

std::optional<std::pair<std::string, uint64_t>> BeginsFrom(const v1::Job& row) {
  const std::string& from = row.spec().init_from();
  uint64_t iteration = 0;
  if (row.has_last_checkpoint() || from.empty() ||
      !absl::SimpleAtoi(from.substr(from.find('@') + 1), &iteration)) {
    return std::nullopt;
  }
  return std::pair(JobOfReference(from), iteration);
}

absl::StatusOr<std::optional<v1::DataSetDescription>> FindDataSet(const v1::JobSpec& spec,
                                                                  DataSetStore& data_sets) {
  const std::optional<std::string> name = DataSetOf(spec);
  if (!name.has_value()) {
    return std::optional<v1::DataSetDescription>();
  }
  const std::string& sha256 = *DataUseOf(spec.tasks()).sha256;
  absl::StatusOr<v1::DataSetDescription> found = data_sets.Find(sha256);
  if (absl::IsNotFound(found.status())) {
    return absl::NotFoundError(absl::StrCat("the data set '", *name, "' of SHA-256 ", sha256,
                                            " is not here (any more); to bring it back: innerloop "
                                            "dataset add ",
                                            *name, "=FILE"));
  }
  INNERLOOP_RETURN_IF_ERROR(found.status());
  return std::optional<v1::DataSetDescription>(*std::move(found));
}

absl::Status CheckModel(const v1::JobSpec& spec, DataSetStore& data_sets) {
  if (!spec.model().has_torchscript()) {
    return absl::OkStatus();
  }
  const v1::TorchScriptModel& model = spec.model().torchscript();
  const std::optional<v1::StoredFile> stored = data_sets.models().Find(model.sha256());
  if (!stored.has_value()) {
    return absl::NotFoundError(absl::StrCat("the job's model, a file of SHA-256 ", model.sha256(),
                                            ", is not here; a client sends it before the job"));
  }
  return stored->bytes() == model.bytes()
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat("model.torchscript.bytes is ", model.bytes(),
                                                       "; the file of that SHA-256 has ",
                                                       stored->bytes()));
}

absl::Status CheckProtocol(const v1::JobSpec& resolved, const v1::EvaluationProtocol& protocol,
                           const std::optional<v1::DataSetDescription>& data_set,
                           const DataSetStore& data_sets) {
  if (!data_set.has_value()) {
    return absl::OkStatus();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const auto examples,
                             Dataset::Open(data_sets.PathOf(data_set->sha256())));
  return CheckProtocolAgainstData(resolved, protocol, *examples, "protocol");
}

absl::StatusOr<Submission> Prepare(const v1::JobSpec& spec, DataSetStore& data_sets,
                                   CheckpointStore& checkpoints) {
  Submission result;
  v1::JobSpec wanted = spec;
  if (const std::optional<std::string> name = DataSetOf(spec); name.has_value()) {
    // What is wrong with the specification itself is said first.
    INNERLOOP_RETURN_IF_ERROR(ResolveJobSpec(spec, nullptr).status());
    INNERLOOP_ASSIGN_OR_RETURN(v1::DataSetDescription found, data_sets.Find(*name));
    const DataUse use = DataUseOf(spec.tasks());
    if (!use.sha256->empty() && *use.sha256 != found.sha256()) {
      return absl::InvalidArgumentError(absl::StrCat(use.field, ".dataset_sha256 is ", *use.sha256,
                                                     "; the data set '", *name, "' here has ",
                                                     found.sha256()));
    }
    SetDataSetSha256(*wanted.mutable_tasks(), found.sha256());
    result.data_set = std::move(found);
  }
  INNERLOOP_ASSIGN_OR_RETURN(
      result.spec,
      ResolveJobSpec(wanted, result.data_set.has_value() ? &*result.data_set : nullptr));
  INNERLOOP_RETURN_IF_ERROR(CheckModel(result.spec, data_sets));
  INNERLOOP_RETURN_IF_ERROR(CheckExamples(result.data_set, data_sets, result.spec, &result));
  if (!result.spec.init_from().empty()) {
    std::vector<std::string> damaged;
    INNERLOOP_ASSIGN_OR_RETURN(Checkpoint from,
                               checkpoints.Read(result.spec.init_from(), &damaged));
    // "The last" must stay the same one when the job is taken up again.
    result.spec.set_init_from(
        absl::StrCat(JobOfReference(result.spec.init_from()), "@", from.metadata.iteration()));
    result.init_from = std::move(from);
  }
  return result;
}

absl::Status ResolveSent(v1::CheckpointMetadata& metadata) {
  if (metadata.optimizer_steps() > metadata.iteration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "optimizer_steps is ", metadata.optimizer_steps(), "; after ", metadata.iteration(),
        " iterations at most ", metadata.iteration(), " can be"));
  }
  const std::optional<std::string> name = DataSetOf(metadata.spec());
  if (name.has_value() && !IsSha256Hex(metadata.data_set().sha256())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data_set.sha256 is '", metadata.data_set().sha256().substr(0, 64),
        "'; it must be the SHA-256 of the data set '", *name, "', 64 lower-case hex digits"));
  }
  const v1::DataSetDescription* data_set = metadata.has_data_set() ? &metadata.data_set() : nullptr;
  INNERLOOP_ASSIGN_OR_RETURN(*metadata.mutable_spec(), ResolveJobSpec(metadata.spec(), data_set));
  INNERLOOP_ASSIGN_OR_RETURN(const TaskShape shape, ShapeOfTasks(metadata.spec(), data_set));
  INNERLOOP_RETURN_IF_ERROR(CheckFeatureStatistics(metadata.spec().tasks().grouped(), shape));
  return DescribeModel(metadata).status();
}

absl::StatusOr<v1::JobSpec> PrepareRevision(const v1::JobSpec& before, const v1::JobSpec& spec,
                                            DataSetStore& data_sets) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::optional<v1::DataSetDescription> data_set,
                             FindDataSet(before, data_sets));
  INNERLOOP_ASSIGN_OR_RETURN(v1::JobSpec resolved,
                             ResolveJobSpec(spec, data_set.has_value() ? &*data_set : nullptr));
  if (UsesData(spec.tasks()) && !DataUseOf(spec.tasks()).sha256->empty()) {
    SetDataSetSha256(*resolved.mutable_tasks(), *DataUseOf(spec.tasks()).sha256);
  }
  if (const std::vector<std::string> differences = SpecDifferences(before, resolved);
      !differences.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the job cannot change in (as it is against what it should be): ",
                     absl::StrJoin(differences, "; ")));
  }
  INNERLOOP_RETURN_IF_ERROR(CheckExamples(data_set, data_sets, resolved, nullptr));
  return resolved;
}

absl::StatusOr<std::optional<JobRunner::Past>> LoadPast(v1::Job& row, StateStore& state,
                                                        CheckpointStore& checkpoints) {
  std::vector<std::string> damaged;
  absl::StatusOr<Checkpoint> read = checkpoints.Read(row.id(), &damaged);
  row.clear_warnings();
  for (std::string& line : damaged) {
    row.add_warnings(std::move(line));
  }
  if (!read.ok() && !absl::IsNotFound(read.status()) && !absl::IsDataLoss(read.status())) {
    return read.status();
  }
  row.clear_last_periodic();
  row.clear_meta_loss();
  row.clear_meta_accuracy();
  if (!read.ok()) {
    if (row.warnings_size() > 0) {
      absl::StrAppend(row.mutable_warnings(row.warnings_size() - 1),
                      "; no good one is left: the job begins again at iteration 0");
    }
    row.clear_last_checkpoint();
    row.clear_best_checkpoint();
    return std::optional<JobRunner::Past>();
  }

  JobRunner::Past past;
  past.checkpoint = *std::move(read);
  const uint64_t version = past.checkpoint.metadata.iteration();
  INNERLOOP_RETURN_IF_ERROR(state.TruncateHistory(row.id(), version));
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::Evaluation> evaluations,
                             state.Evaluations(row.id(), 0));
  for (v1::Evaluation& evaluation : evaluations) {
    if (evaluation.periodic()) {
      *row.mutable_last_periodic() = std::move(evaluation);
    } else if (evaluation.final() && evaluation.iteration() == version &&
               row.spec().iterations() == version &&
               MessageDifferencer::Equals(evaluation.protocol(), row.spec().evaluation().final())) {
      past.final = std::move(evaluation);
    }
  }
  const uint64_t remembered =
      std::min<uint64_t>(version, row.spec().non_finite().max_consecutive());
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::IterationRecord> history,
                             state.History(row.id(), version - remembered, remembered));
  for (const v1::IterationRecord& record : history) {
    past.skipped_in_a_row = record.skipped() ? past.skipped_in_a_row + 1 : 0;
    row.set_meta_loss(record.meta_loss());
    if (record.has_meta_accuracy()) {
      row.set_meta_accuracy(record.meta_accuracy());
    }
  }
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::CheckpointInfo> infos, checkpoints.List(row.id()));
  row.clear_best_checkpoint();
  for (v1::CheckpointInfo& info : infos) {
    if (info.best()) {
      std::vector<std::string> ignored;
      if (absl::StatusOr<Checkpoint> best =
              checkpoints.Read(absl::StrCat(row.id(), "@best"), &ignored);
          best.ok()) {
        // What was best by another protocol cannot be compared with.
        if (MessageDifferencer::Equals(best->metadata.spec().evaluation().periodic(),
                                       row.spec().evaluation().periodic())) {
          past.best = GoodnessOf(best->metadata);
        }
        *row.mutable_best_checkpoint() = info;
      }
    }
    if (info.iteration() == version) {
      *row.mutable_last_checkpoint() = std::move(info);
    }
  }
  past.evaluated = row.has_last_periodic() && row.last_periodic().iteration() == version &&
                   !MissedBest(row.last_periodic(), row.spec(), past.best);
  return std::optional<JobRunner::Past>(std::move(past));
}

}  // namespace innerloop::server
