#include "client/commands/adapt.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/api/adaptation_client.h"
#include "client/commands/checkpoint_file.h"
#include "client/commands/evaluate.h"
#include "client/commands/own_examples.h"
#include "client/commands/watching.h"
#include "client/render/predictions.h"
#include "core/checkpoint/checkpoint.h"
#include "core/job/adaptation.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

absl::StatusOr<v1::ExportRequest::Format> FormatOf(const std::string& out) {
  if (out.empty()) {
    return v1::ExportRequest::FORMAT_UNSPECIFIED;
  }
  if (absl::EndsWith(out, ".safetensors")) {
    return v1::ExportRequest::FORMAT_SAFETENSORS;
  }
  if (absl::EndsWith(out, ".pt")) {
    return v1::ExportRequest::FORMAT_TORCHSCRIPT;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--out ", out, ": the ending says what to write, .safetensors or .pt (TorchScript)"));
}

// Whether a file can be made there, before work is put into it.
absl::Status CheckOut(const std::string& out) {
  const std::filesystem::path folder = std::filesystem::path(out).parent_path();
  std::error_code error;
  return folder.empty() || std::filesystem::is_directory(folder, error)
             ? absl::OkStatus()
             : absl::NotFoundError(
                   absl::StrCat("--out ", out, ": there is no folder ", folder.string()));
}

// People gave flags, not fields.
absl::Status InTermsOfFlags(const absl::Status& status) {
  return {status.code(),
          absl::StrReplaceAll(status.message(), {{"rule.inner_steps", "--steps"},
                                                 {"rule.transduction", "--transductive"},
                                                 {"rule.line_search", "--line-search"}})};
}

// What was read from the user's files.
struct Inputs {
  v1::ModelDescription model;
  OwnSupport support;
  OwnExamples queries;
  // Queries that fit one call.
  int64_t most = 0;
};

absl::StatusOr<Inputs> ReadInputs(v1::ModelDescription model, const AdaptOptions& options) {
  if (!model.takes_steps() && options.rule.has_inner_steps() && options.rule.inner_steps() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--steps is ", options.rule.inner_steps(),
                     "; metric methods take none: they compare embeddings and adapt nothing"));
  }
  Inputs inputs;
  INNERLOOP_ASSIGN_OR_RETURN(inputs.support, ReadSupport(model, options.support, options.group));
  if (!options.queries.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(inputs.queries,
                               ReadQueries(model, inputs.support, options.queries, options.group));
    const auto count = static_cast<int64_t>(inputs.queries.names.size());
    inputs.most = MostQueries(model, inputs.support.set, BytesOf(inputs.queries.inputs) / count);
    if (options.rule.transduction() == v1::TRANSDUCTION_ALL_QUERIES && count > inputs.most) {
      return absl::InvalidArgumentError(
          absl::StrCat("--transductive yes predicts all queries together, and of these ", count,
                       " at most ", inputs.most, " fit one call"));
    }
  }
  inputs.model = std::move(model);
  return inputs;
}

// Whether there is a name for each of an answer's numbers.
absl::Status CheckNames(const v1::Predictions& predictions, const OwnSupport& support) {
  const std::vector<std::string>& names =
      support.classes.empty() ? support.targets : support.classes;
  return predictions.size() == names.size()
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat(
                   "the coordinator answered a query with ", predictions.size(), " numbers; the ",
                   support.classes.empty() ? "targets" : "classes", " are ", names.size()));
}

absl::StatusOr<v1::AdaptResponse> Compute(AdaptationClient& client, const std::string& checkpoint,
                                          const v1::AdaptationRule& rule, const Inputs& inputs) {
  v1::AdaptRequest request;
  request.set_checkpoint(checkpoint);
  *request.mutable_support() = inputs.support.set;
  *request.mutable_rule() = rule;
  const auto count = static_cast<int64_t>(inputs.queries.names.size());
  const bool one_call = count > 0 && count <= inputs.most;
  if (one_call) {
    *request.mutable_queries() = inputs.queries.inputs;
  }
  INNERLOOP_ASSIGN_OR_RETURN(v1::AdaptResponse response, client.Adapt(request));
  if (count > 0 && !one_call) {
    INNERLOOP_ASSIGN_OR_RETURN(
        *response.mutable_predictions(),
        client.Predict(response.adaptation(), inputs.queries.inputs, inputs.most));
  }
  if (count > 0) {
    INNERLOOP_RETURN_IF_ERROR(CheckNames(response.predictions(), inputs.support));
  }
  return response;
}

AdaptationView ViewOf(const std::string& checkpoint, Inputs inputs, v1::AdaptResponse response) {
  AdaptationView view;
  view.checkpoint = checkpoint;
  view.rule = response.rule();
  view.support_losses.assign(response.support_losses().begin(), response.support_losses().end());
  view.support_examples = CountOf(inputs.support.set.inputs());
  view.classes = std::move(inputs.support.classes);
  view.targets = std::move(inputs.support.targets);
  view.names = std::move(inputs.queries.names);
  view.predictions = std::move(*response.mutable_predictions());
  view.true_classes = std::move(inputs.queries.classes);
  view.true_targets = std::move(inputs.queries.targets);
  return view;
}

// Adapts on a coordinator, whichever; `shown` is the checkpoint's name for people.
absl::Status AdaptOn(AdaptationClient& client, const std::string& checkpoint, std::string shown,
                     Inputs inputs, const AdaptOptions& options, LiveLine& live,
                     AdaptationView& view) {
  live.Update("adapting", /*important=*/true);
  absl::StatusOr<v1::AdaptResponse> response = Compute(client, checkpoint, options.rule, inputs);
  INNERLOOP_RETURN_IF_ERROR(InTermsOfFlags(response.status()));
  const std::string adaptation = response->adaptation();
  if (shown.empty()) {
    shown = absl::StrCat(inputs.model.job_id(), "@", response->iteration());
  }
  view = ViewOf(shown, std::move(inputs), *std::move(response));
  INNERLOOP_ASSIGN_OR_RETURN(const v1::ExportRequest::Format format, FormatOf(options.out));
  if (format != v1::ExportRequest::FORMAT_UNSPECIFIED) {
    INNERLOOP_ASSIGN_OR_RETURN(const std::string file, client.Export(adaptation, format));
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Replace(options.out, {file}));
    view.out = options.out;
  }
  return absl::OkStatus();
}

absl::Status AdaptJob(const AdaptOptions& options, Session& session, LiveLine& live,
                      AdaptationView& view) {
  if (!options.model.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--model is for checkpoint files; '", options.target, "' is a job of the coordinator"));
  }
  AdaptationClient client(session.client, session.cancellation);
  INNERLOOP_ASSIGN_OR_RETURN(v1::ModelDescription model, client.Describe(options.target));
  // All calls mean the same one, also when the job writes another meanwhile.
  const std::string pinned = absl::StrCat(model.job_id(), "@", model.iteration());
  INNERLOOP_ASSIGN_OR_RETURN(Inputs inputs, ReadInputs(std::move(model), options));
  if (const auto workers = session.Client().ListWorkers(); workers.ok() && workers->empty()) {
    live.Print("waiting: no workers are connected");
  }
  return AdaptOn(client, pinned, "", std::move(inputs), options, live, view);
}

absl::Status AdaptFile(const AdaptOptions& options, Session& session, LiveLine& live,
                       AdaptationView& view) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(options.target));
  const v1::JobSpec& spec = checkpoint.metadata.spec();
  INNERLOOP_ASSIGN_OR_RETURN(v1::ModelDescription model, DescribeModel(checkpoint.metadata));
  INNERLOOP_RETURN_IF_ERROR(InTermsOfFlags(ResolveRule(spec, options.rule).status()));
  INNERLOOP_RETURN_IF_ERROR(CheckModelFile(spec, options.target, options.model));
  INNERLOOP_ASSIGN_OR_RETURN(Inputs inputs, ReadInputs(std::move(model), options));
  return WithLocalCluster(
      spec, /*workers=*/1, session, live, [&](LocalCluster& cluster) -> absl::Status {
        TrainingClient training = session.PatientClient(cluster.address());
        cluster.StartWorkers();
        if (!options.model.empty()) {
          INNERLOOP_RETURN_IF_ERROR(
              training.UploadModel(options.model, TransferLine(live, options.model)));
        }
        INNERLOOP_ASSIGN_OR_RETURN(
            const v1::Job job,
            training.UploadCheckpoint(options.target, TransferLine(live, options.target)));
        AdaptationClient client(session.PatientOptions(cluster.address()), session.cancellation);
        return AdaptOn(client, job.id(), options.target, std::move(inputs), options, live, view);
      });
}

}  // namespace

absl::Status Adapt(const AdaptOptions& options, Session& session) {
  INNERLOOP_RETURN_IF_ERROR(FormatOf(options.out).status());
  INNERLOOP_RETURN_IF_ERROR(CheckOut(options.out));
  AdaptationView view;
  {
    LiveLine live(session.Live());
    INNERLOOP_RETURN_IF_ERROR(NamesFile(options.target) ? AdaptFile(options, session, live, view)
                                                        : AdaptJob(options, session, live, view));
  }
  session.Show(PredictionsJson(view), options.csv ? PredictionsCsv(view) : PredictionsText(view));
  return absl::OkStatus();
}

}  // namespace innerloop::client
