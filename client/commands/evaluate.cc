#include "client/commands/evaluate.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/commands/job_file.h"
#include "client/commands/train.h"
#include "client/commands/watching.h"
#include "client/local/local_run.h"
#include "client/local/temporary_folder.h"
#include "core/checkpoint/checkpoint.h"
#include "core/job/job_spec.h"
#include "core/support/checksum.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

using Evaluations = std::vector<v1::Evaluation>;

// `several`: whether more than one protocol was asked for.
void ShowEvaluations(const Evaluations& evaluations, const v1::JobSpec& spec, bool several,
                     const Session& session) {
  Json list = Json::array();
  std::vector<std::string> tables;
  for (const v1::Evaluation& evaluation : evaluations) {
    list.push_back(EvaluationJson(evaluation, spec));
    tables.push_back(EvaluationTable(evaluation, spec));
  }
  session.Show(several ? list : list[0], absl::StrJoin(tables, "\n"));
}

// The coordinator names fields of the protocol, its workers those of an evaluation; people gave
// flags.
absl::Status InTermsOfFlags(const absl::Status& status) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const char* message : {"protocol", "evaluation"}) {
    for (const auto& [field, flag] : {std::pair("ways", "--ways"),
                                      {"shots", "--shots"},
                                      {"queries", "--queries"},
                                      {"inner_steps", "--steps"},
                                      {"episodes", "--episodes"},
                                      {"transduction", "--transductive"},
                                      {"line_search", "--line-search"},
                                      {"split", "--split"},
                                      {"seed", "--seed"}}) {
      names.emplace_back(absl::StrCat(message, ".", field), flag);
    }
  }
  return {status.code(), absl::StrReplaceAll(status.message(), names)};
}

// The coordinator would say the same, but of the second protocol only when the first is measured.
absl::Status CheckProtocols(const v1::JobSpec& spec,
                            const std::vector<v1::EvaluationProtocol>& protocols) {
  for (const v1::EvaluationProtocol& asked : protocols) {
    v1::EvaluationProtocol protocol = spec.evaluation().final();
    protocol.MergeFrom(asked);
    INNERLOOP_RETURN_IF_ERROR(InTermsOfFlags(
        ResolveProtocol(spec, protocol, v1::SPLIT_TEST, /*default_episodes=*/1, "protocol")
            .status()));
  }
  return absl::OkStatus();
}

absl::StatusOr<Evaluations> EvaluateAll(TrainingClient& client, const std::string& checkpoint,
                                        const std::vector<v1::EvaluationProtocol>& protocols,
                                        LiveLine& live) {
  Evaluations evaluations;
  for (const v1::EvaluationProtocol& protocol : protocols) {
    live.Update(protocols.size() == 1 ? "evaluating"
                                      : absl::StrCat("evaluating protocol ", evaluations.size() + 1,
                                                     " of ", protocols.size()),
                /*important=*/true);
    v1::EvaluateRequest request;
    request.set_checkpoint(checkpoint);
    *request.mutable_protocol() = protocol;
    absl::StatusOr<v1::Evaluation> evaluation = client.Evaluate(request);
    INNERLOOP_RETURN_IF_ERROR(InTermsOfFlags(evaluation.status()));
    evaluations.push_back(*std::move(evaluation));
  }
  return evaluations;
}

// The file of the data set that the checkpoint's tasks come from; it must be the very same.
absl::StatusOr<std::optional<DataSetFile>> DataSetOfCheckpoint(
    const v1::CheckpointMetadata& metadata, const std::vector<std::string>& data_flags) {
  const std::optional<std::string> name = DataSetOf(metadata.spec());
  INNERLOOP_RETURN_IF_ERROR(CheckDataFlags(data_flags, name));
  if (!name) {
    return std::optional<DataSetFile>();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const DataSetFile file,
                             FindDataSet(metadata.spec().tasks(), data_flags));
  INNERLOOP_ASSIGN_OR_RETURN(const OpenedDataSet opened, OpenDataSet(file));
  const std::string& found = opened.description.sha256();
  const std::string& wanted = metadata.data_set().sha256();
  if (!wanted.empty() && found != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, " is not the data set '", *name,
                                                   "' that the checkpoint was trained on: its "
                                                   "SHA-256 is ",
                                                   found, ", wanted is ", wanted));
  }
  return std::optional<DataSetFile>(file);
}

// A checkpoint does not hold a model of the user's own, only its parameters. The file that the
// command names may run: who names it, trusts it.
absl::Status CheckModelFile(const v1::JobSpec& spec, const EvaluateOptions& options) {
  const std::string& wanted = spec.model().torchscript().sha256();
  if (wanted.empty()) {
    return options.model.empty() ? absl::OkStatus()
                                 : absl::InvalidArgumentError(
                                       "--model is for checkpoints of a TorchScript model; "
                                       "this one's model is part of Innerloop");
  }
  if (options.model.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.target,
                     " has the parameters of a TorchScript model, but not the "
                     "model itself: give its file with --model FILE (SHA-256 ",
                     wanted, ")"));
  }
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(options.model));
  const std::string found = Sha256::Hex(file.bytes());
  return found == wanted
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat(
                   options.model, " is not the model of the checkpoint: its SHA-256 is ", found,
                   ", wanted is ", wanted));
}

std::vector<std::string> AllowedBy(const v1::JobSpec& spec) {
  return spec.model().has_torchscript()
             ? std::vector<std::string>{spec.model().torchscript().sha256()}
             : std::vector<std::string>();
}

absl::StatusOr<Evaluations> EvaluateOn(LocalCluster& cluster, const EvaluateOptions& options,
                                       const std::optional<DataSetFile>& data_set, Session& session,
                                       LiveLine& live) {
  TrainingClient client = session.PatientClient(cluster.address());
  cluster.StartWorkers();
  if (data_set) {
    INNERLOOP_RETURN_IF_ERROR(
        client.UploadDataSet(data_set->name, data_set->path, TransferLine(live, data_set->path))
            .status());
  }
  if (!options.model.empty()) {
    INNERLOOP_RETURN_IF_ERROR(client.UploadModel(options.model, TransferLine(live, options.model)));
  }
  INNERLOOP_ASSIGN_OR_RETURN(
      const v1::Job job,
      client.UploadCheckpoint(options.target, TransferLine(live, options.target)));
  return EvaluateAll(client, job.id(), ProtocolsOf(options), live);
}

absl::Status EvaluateFile(const EvaluateOptions& options, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(options.target));
  const v1::JobSpec& spec = checkpoint.metadata.spec();
  const std::vector<v1::EvaluationProtocol> protocols = ProtocolsOf(options);
  INNERLOOP_RETURN_IF_ERROR(CheckProtocols(spec, protocols));
  INNERLOOP_ASSIGN_OR_RETURN(const std::optional<DataSetFile> data_set,
                             DataSetOfCheckpoint(checkpoint.metadata, options.data));
  INNERLOOP_RETURN_IF_ERROR(CheckModelFile(spec, options));
  INNERLOOP_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Create());
  LiveLine live(session.Live());
  LocalRun run(session.cancellation);
  INNERLOOP_RETURN_IF_ERROR(
      run.Start({.state_dir = folder.path(),
                 .program_folder = session.surroundings.program_folder,
                 .workers = options.workers > 0 ? options.workers : CoreCount(),
                 .allow_models = AllowedBy(spec),
                 .notice = [&live](const std::string& notice) { live.Print(notice); }}));
  const absl::StatusOr<Evaluations> evaluations =
      EvaluateOn(run.cluster(), options, data_set, session, live);
  // Nothing in the folder is worth a graceful end.
  run.cluster().Kill();
  run.Stop();
  live.Close();
  INNERLOOP_RETURN_IF_ERROR(evaluations.status());
  ShowEvaluations(*evaluations, spec, protocols.size() > 1, session);
  return absl::OkStatus();
}

}  // namespace

bool NamesFile(const std::string& target) {
  return std::filesystem::exists(target) || absl::StrContains(target, "/") ||
         absl::EndsWith(target, ".safetensors");
}

std::vector<v1::EvaluationProtocol> ProtocolsOf(const EvaluateOptions& options) {
  std::vector<v1::EvaluationProtocol> protocols = {options.protocol};
  const auto multiply = [&protocols](const auto& values, auto set) {
    if (values.empty()) {
      return;
    }
    std::vector<v1::EvaluationProtocol> product;
    for (const v1::EvaluationProtocol& protocol : protocols) {
      for (const auto value : values) {
        product.push_back(protocol);
        (product.back().*set)(value);
      }
    }
    protocols = std::move(product);
  };
  multiply(options.ways, &v1::EvaluationProtocol::set_ways);
  multiply(options.shots, &v1::EvaluationProtocol::set_shots);
  multiply(options.transductions, &v1::EvaluationProtocol::set_transduction);
  return protocols;
}

absl::Status Evaluate(const EvaluateOptions& options, Session& session) {
  for (const std::string& flag : options.data) {
    INNERLOOP_RETURN_IF_ERROR(ParseDataFlag(flag).status());
  }
  if (NamesFile(options.target)) {
    return EvaluateFile(options, session);
  }
  if (!options.data.empty() || !options.model.empty() || options.workers > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.workers > 0      ? "--workers"
                     : !options.model.empty() ? "--model"
                                              : "--data",
                     " is for checkpoint files; '", options.target,
                     "' is a job of the coordinator, which has workers and data sets of its own"));
  }
  TrainingClient client = session.Client();
  const std::string id = options.target.substr(0, options.target.find('@'));
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, client.Get(id));
  const std::vector<v1::EvaluationProtocol> protocols = ProtocolsOf(options);
  INNERLOOP_RETURN_IF_ERROR(CheckProtocols(job.spec(), protocols));
  LiveLine live(session.Live());
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::WorkerInfo> workers, client.ListWorkers());
  if (std::none_of(workers.begin(), workers.end(), [](const v1::WorkerInfo& worker) {
        return worker.state() == v1::WorkerInfo::STATE_CONNECTED;
      })) {
    live.Print("no workers are connected; the evaluation waits for one");
  }
  INNERLOOP_ASSIGN_OR_RETURN(const Evaluations evaluations,
                             EvaluateAll(client, options.target, protocols, live));
  live.Close();
  ShowEvaluations(evaluations, job.spec(), protocols.size() > 1, session);
  return absl::OkStatus();
}

}  // namespace innerloop::client
