#include "client/commands/evaluate.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/commands/checkpoint_file.h"
#include "client/commands/job_file.h"
#include "client/commands/watching.h"
#include "core/checkpoint/checkpoint.h"
#include "core/job/check_data.h"
#include "core/job/job_spec.h"
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
  for (const char* verb : {" takes ", " draws "}) {
    names.emplace_back(absl::StrCat("protocol", verb), absl::StrCat("the evaluation", verb));
  }
  return {status.code(), absl::StrReplaceAll(status.message(), names)};
}

// The coordinator would say the same, but of the second protocol only when the first is measured.
// `examples` are null where there are none here.
absl::Status CheckProtocols(const v1::JobSpec& spec,
                            const std::vector<v1::EvaluationProtocol>& protocols,
                            const Dataset* examples) {
  for (const v1::EvaluationProtocol& asked : protocols) {
    v1::EvaluationProtocol protocol = spec.evaluation().final();
    protocol.MergeFrom(asked);
    const absl::StatusOr<v1::EvaluationProtocol> resolved =
        ResolveProtocol(spec, protocol, v1::SPLIT_TEST, /*default_episodes=*/1, "protocol");
    INNERLOOP_RETURN_IF_ERROR(InTermsOfFlags(resolved.status()));
    if (examples != nullptr) {
      INNERLOOP_RETURN_IF_ERROR(
          InTermsOfFlags(CheckProtocolAgainstData(spec, *resolved, *examples, "protocol")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Evaluation> EvaluateOne(TrainingClient& client, const std::string& checkpoint,
                                           const v1::EvaluationProtocol& protocol) {
  v1::EvaluateRequest request;
  request.set_checkpoint(checkpoint);
  *request.mutable_protocol() = protocol;
  absl::StatusOr<v1::Evaluation> evaluation = client.Evaluate(request);
  INNERLOOP_RETURN_IF_ERROR(InTermsOfFlags(evaluation.status()));
  return evaluation;
}

// What only workers find wrong with the second protocol shows in a single task of it.
absl::Status TryAllButFirst(TrainingClient& client, const std::string& checkpoint,
                            std::vector<v1::EvaluationProtocol> protocols, LiveLine& live) {
  for (size_t i = 1; i < protocols.size(); ++i) {
    live.Update("trying the protocols");
    protocols[i].set_episodes(1);
    INNERLOOP_RETURN_IF_ERROR(EvaluateOne(client, checkpoint, protocols[i]).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<Evaluations> EvaluateAll(TrainingClient& client, const std::string& checkpoint,
                                        const std::vector<v1::EvaluationProtocol>& protocols,
                                        LiveLine& live) {
  INNERLOOP_RETURN_IF_ERROR(TryAllButFirst(client, checkpoint, protocols, live));
  Evaluations evaluations;
  for (const v1::EvaluationProtocol& protocol : protocols) {
    live.Update(protocols.size() == 1 ? "evaluating"
                                      : absl::StrCat("evaluating protocol ", evaluations.size() + 1,
                                                     " of ", protocols.size()),
                /*important=*/true);
    INNERLOOP_ASSIGN_OR_RETURN(v1::Evaluation evaluation,
                               EvaluateOne(client, checkpoint, protocol));
    evaluations.push_back(std::move(evaluation));
  }
  return evaluations;
}

// The data set that the checkpoint's tasks come from; it must be the very same.
absl::StatusOr<std::optional<OpenedDataSet>> DataSetOfCheckpoint(
    const v1::CheckpointMetadata& metadata, const std::vector<std::string>& data_flags) {
  const std::optional<std::string> name = DataSetOf(metadata.spec());
  INNERLOOP_RETURN_IF_ERROR(CheckDataFlags(data_flags, name));
  if (!name) {
    return std::optional<OpenedDataSet>();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const DataSetFile file,
                             FindDataSet(metadata.spec().tasks(), data_flags));
  INNERLOOP_ASSIGN_OR_RETURN(OpenedDataSet opened, OpenDataSet(file));
  const std::string& found = opened.description.sha256();
  const std::string& wanted = metadata.data_set().sha256();
  if (!wanted.empty() && found != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, " is not the data set '", *name,
                                                   "' that the checkpoint was trained on: its "
                                                   "SHA-256 is ",
                                                   found, ", wanted is ", wanted));
  }
  return std::optional<OpenedDataSet>(std::move(opened));
}

// ProtocolsOf, without those that would give the same figures.
std::vector<v1::EvaluationProtocol> ProtocolsFor(const v1::JobSpec& spec,
                                                 const EvaluateOptions& options, LiveLine& live) {
  if (options.transductions.size() < 2 || MayMixExamples(spec.model())) {
    return ProtocolsOf(options);
  }
  live.Print("transduction makes no difference: the model has no batch norm");
  EvaluateOptions one = options;
  one.transductions.clear();
  return ProtocolsOf(one);
}

absl::StatusOr<Evaluations> EvaluateOn(LocalCluster& cluster, const EvaluateOptions& options,
                                       const std::vector<v1::EvaluationProtocol>& protocols,
                                       const std::optional<OpenedDataSet>& data_set,
                                       Session& session, LiveLine& live) {
  TrainingClient client = session.PatientClient(cluster.address());
  cluster.StartWorkers();
  if (data_set) {
    INNERLOOP_RETURN_IF_ERROR(client
                                  .UploadDataSet(data_set->file.name, data_set->file.path,
                                                 TransferLine(live, data_set->file.path))
                                  .status());
  }
  if (!options.model.empty()) {
    INNERLOOP_RETURN_IF_ERROR(client.UploadModel(options.model, TransferLine(live, options.model)));
  }
  INNERLOOP_ASSIGN_OR_RETURN(
      const v1::Job job,
      client.UploadCheckpoint(options.target, TransferLine(live, options.target)));
  return EvaluateAll(client, job.id(), protocols, live);
}

absl::Status EvaluateFile(const EvaluateOptions& options, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(options.target));
  const v1::JobSpec& spec = checkpoint.metadata.spec();
  LiveLine live(session.Live());
  const std::vector<v1::EvaluationProtocol> protocols = ProtocolsFor(spec, options, live);
  INNERLOOP_ASSIGN_OR_RETURN(const std::optional<OpenedDataSet> data_set,
                             DataSetOfCheckpoint(checkpoint.metadata, options.data));
  INNERLOOP_RETURN_IF_ERROR(
      CheckProtocols(spec, protocols, data_set ? data_set->examples.get() : nullptr));
  INNERLOOP_RETURN_IF_ERROR(CheckModelFile(spec, options.target, options.model));
  Evaluations evaluations;
  INNERLOOP_RETURN_IF_ERROR(WithLocalCluster(
      spec, options.workers, session, live, [&](LocalCluster& cluster) -> absl::Status {
        INNERLOOP_ASSIGN_OR_RETURN(
            evaluations, EvaluateOn(cluster, options, protocols, data_set, session, live));
        return absl::OkStatus();
      }));
  ShowEvaluations(evaluations, spec, protocols.size() > 1, session);
  return absl::OkStatus();
}

}  // namespace

bool NamesFile(const std::string& target) {
  std::error_code error;
  return std::filesystem::exists(target, error) || absl::StrContains(target, "/") ||
         absl::EndsWith(target, ".safetensors");
}

std::vector<v1::EvaluationProtocol> ProtocolsOf(const EvaluateOptions& options) {
  std::vector<v1::EvaluationProtocol> protocols = {options.protocol};
  const auto multiply = [&protocols](const auto& values, auto set) {
    if (values.empty()) {
      return;
    }
    // Of a value that is given twice, once.
    std::vector<v1::EvaluationProtocol> product;
    for (const v1::EvaluationProtocol& protocol : protocols) {
      for (auto value = values.begin(); value != values.end(); ++value) {
        if (std::find(values.begin(), value, *value) == value) {
          product.push_back(protocol);
          (product.back().*set)(*value);
        }
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
  LiveLine live(session.Live());
  const std::vector<v1::EvaluationProtocol> protocols = ProtocolsFor(job.spec(), options, live);
  INNERLOOP_RETURN_IF_ERROR(CheckProtocols(job.spec(), protocols, /*examples=*/nullptr));
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
