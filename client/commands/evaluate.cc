#include "client/commands/evaluate.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/job_file.h"
#include "client/commands/train.h"
#include "client/commands/watching.h"
#include "client/local/local_run.h"
#include "client/local/temporary_folder.h"
#include "core/checkpoint/checkpoint.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

void ShowEvaluation(const v1::Evaluation& evaluation, const Session& session) {
  session.Show(EvaluationJson(evaluation), EvaluationTable(evaluation));
}

// The file of the data set that the checkpoint's tasks come from; it must be the very same.
absl::StatusOr<std::optional<DataSetFile>> DataSetOfCheckpoint(
    const v1::CheckpointMetadata& metadata, const std::vector<std::string>& data_flags) {
  const std::optional<std::string> name = DataSetOf(metadata.spec());
  if (!name) {
    return std::optional<DataSetFile>();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const DataSetFile file, FindDataSet(*name, data_flags));
  INNERLOOP_ASSIGN_OR_RETURN(const v1::DataSetDescription found, DescribeDataSet(file));
  const std::string& wanted = metadata.data_set().sha256();
  if (!wanted.empty() && found.sha256() != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, " is not the data set '", *name,
                                                   "' that the checkpoint was trained on: its "
                                                   "SHA-256 is ",
                                                   found.sha256(), ", wanted is ", wanted));
  }
  return std::optional<DataSetFile>(file);
}

absl::StatusOr<v1::Evaluation> EvaluateOn(LocalCluster& cluster, const EvaluateOptions& options,
                                          const std::optional<DataSetFile>& data_set,
                                          Session& session, LiveLine& live) {
  TrainingClient client = session.PatientClient(cluster.address());
  cluster.StartWorkers();
  if (data_set) {
    INNERLOOP_RETURN_IF_ERROR(
        client.UploadDataSet(data_set->name, data_set->path, TransferLine(live, data_set->path))
            .status());
  }
  INNERLOOP_ASSIGN_OR_RETURN(
      const v1::Job job,
      client.UploadCheckpoint(options.target, TransferLine(live, options.target)));
  v1::EvaluateRequest request;
  request.set_checkpoint(job.id());
  *request.mutable_protocol() = options.protocol;
  live.Update("evaluating", /*important=*/true);
  return client.Evaluate(request);
}

absl::Status EvaluateFile(const EvaluateOptions& options, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(options.target));
  INNERLOOP_ASSIGN_OR_RETURN(const std::optional<DataSetFile> data_set,
                             DataSetOfCheckpoint(checkpoint.metadata, options.data));
  INNERLOOP_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Create());
  LiveLine live(session.Live());
  LocalRun run(session.cancellation);
  INNERLOOP_RETURN_IF_ERROR(
      run.Start({.state_dir = folder.path(),
                 .program_folder = session.surroundings.program_folder,
                 .workers = options.workers > 0 ? options.workers : CoreCount(),
                 .notice = [&live](const std::string& notice) { live.Print(notice); }}));
  const auto evaluation = EvaluateOn(run.cluster(), options, data_set, session, live);
  // Nothing in the folder is worth a graceful end.
  run.cluster().Kill();
  run.Stop();
  live.Close();
  INNERLOOP_RETURN_IF_ERROR(evaluation.status());
  ShowEvaluation(*evaluation, session);
  return absl::OkStatus();
}

}  // namespace

bool NamesFile(const std::string& target) {
  return std::filesystem::exists(target) || absl::StrContains(target, "/") ||
         absl::EndsWith(target, ".safetensors");
}

absl::Status Evaluate(const EvaluateOptions& options, Session& session) {
  for (const std::string& flag : options.data) {
    INNERLOOP_RETURN_IF_ERROR(ParseDataFlag(flag).status());
  }
  if (NamesFile(options.target)) {
    return EvaluateFile(options, session);
  }
  TrainingClient client = session.Client();
  LiveLine live(session.Live());
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::WorkerInfo> workers, client.ListWorkers());
  if (std::none_of(workers.begin(), workers.end(), [](const v1::WorkerInfo& worker) {
        return worker.state() == v1::WorkerInfo::STATE_CONNECTED;
      })) {
    live.Print("no workers are connected; the evaluation waits for one");
  }
  v1::EvaluateRequest request;
  request.set_checkpoint(options.target);
  *request.mutable_protocol() = options.protocol;
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Evaluation evaluation, client.Evaluate(request));
  ShowEvaluation(evaluation, session);
  return absl::OkStatus();
}

}  // namespace innerloop::client
