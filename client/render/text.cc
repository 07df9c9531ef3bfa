#include <map>

#include <google/protobuf/text_format.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/render/numbers.h"
#include "client/render/protocol.h"
#include "client/render/table.h"
#include "client/render/views.h"
#include "core/job/task_view.h"

namespace innerloop::client {
namespace {

using Align = Table::Align;

// The name of the member that is set of a message's only oneof, e.g. "maml".
std::string Chosen(const google::protobuf::Message& message) {
  const auto* choice = message.GetDescriptor()->oneof_decl(0);
  const auto* field = message.GetReflection()->GetOneofFieldDescriptor(message, choice);
  return field == nullptr ? "?" : field->name();
}

std::string IterationsText(const v1::Job& job) {
  return absl::StrCat(Count(job.iteration()), " of ", Count(job.spec().iterations()));
}

std::string SecondsText(double seconds) { return Span(absl::Seconds(seconds)); }

std::string CheckpointLine(const v1::CheckpointInfo& info) {
  return absl::StrCat("iteration ", Count(info.iteration()), ", ", info.path());
}

std::string ShapeText(const google::protobuf::RepeatedField<int64_t>& shape) {
  return absl::StrJoin(shape, " x ");
}

void CutNames(google::protobuf::RepeatedPtrField<std::string>* names) {
  constexpr int kShown = 3;
  if (names->size() > kShown + 1) {
    const int left_out = names->size() - kShown;
    names->DeleteSubrange(kShown, left_out);
    names->Add(absl::StrCat("... and ", left_out, " more"));
  }
}

}  // namespace

std::string MethodName(const v1::JobSpec& spec) {
  return absl::StrCat(Chosen(spec.algorithm()), ", ", Chosen(spec.tasks()), ", ",
                      Chosen(spec.model()));
}

std::string PublishedText(const v1::JobSpec& spec, uint32_t step) {
  std::vector<std::string> figures;
  for (const v1::PublishedResult& result : spec.published()) {
    if (result.step() == step) {
      figures.push_back(
          absl::StrCat(result.has_accuracy() ? absl::StrCat(Percent(result.accuracy()), " %") : "",
                       result.has_accuracy() && result.has_loss() ? ", " : "",
                       result.has_loss() ? Loss(result.loss()) : "", " (", result.source(), ")"));
    }
  }
  return absl::StrJoin(figures, "; ");
}

std::string StepsTable(const std::vector<StepRow>& rows, const v1::JobSpec& spec, bool published) {
  published = published && spec.published_size() > 0;
  const bool accuracies = !rows.empty() && !rows[0].accuracy.empty();
  std::vector<Table::Column> columns = {{"step", Align::kRight}};
  if (accuracies) {
    columns.push_back({"accuracy, %", Align::kRight});
  }
  columns.push_back({"loss", Align::kRight});
  if (published) {
    columns.push_back({"published"});
  }
  Table table(std::move(columns));
  for (const StepRow& row : rows) {
    std::vector<std::string> cells = {absl::StrCat(row.step)};
    if (accuracies) {
      cells.push_back(row.accuracy);
    }
    cells.push_back(row.loss);
    if (published) {
      cells.push_back(PublishedText(spec, row.step));
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

std::string EvaluationTable(const v1::Evaluation& evaluation, const v1::JobSpec& spec) {
  std::vector<StepRow> rows;
  for (const v1::StepMeasure& measure : evaluation.steps()) {
    rows.push_back({.step = measure.step(),
                    .accuracy = measure.has_accuracy()
                                    ? PercentInterval(measure.accuracy(), measure.accuracy_ci95())
                                    : "",
                    .loss = LossInterval(measure.loss(), measure.loss_ci95())});
  }
  return absl::StrCat("evaluation of iteration ", Count(evaluation.iteration()), ": ",
                      ProtocolText(evaluation, spec), ", ± 95 % interval\n",
                      StepsTable(rows, spec, evaluation.periodic() || evaluation.final()));
}

std::string JobsTable(const std::vector<v1::Job>& jobs) {
  Table table({{"JOB"},
               {"NAME"},
               {"STATE"},
               {"ITERATION", Align::kRight},
               {"RATE", Align::kRight},
               {"META-LOSS", Align::kRight},
               {"LABELS"},
               {"WAITING FOR"}});
  for (const v1::Job& job : jobs) {
    const bool running = job.state() == v1::JOB_STATE_RUNNING;
    table.Add({job.id(), job.spec().name(), StateName(job.state()), IterationsText(job),
               running ? Rate(job.iterations_per_second()) : "",
               job.has_meta_loss() ? Loss(job.meta_loss()) : "", LabelsText(job.spec()),
               job.waiting_for()});
  }
  return table.Render();
}

std::string JobText(const v1::Job& job) {
  Fields fields;
  fields.Add("job", job.id());
  fields.Add("name", job.spec().name());
  fields.Add("labels", LabelsText(job.spec()));
  fields.Add("note", job.spec().note());
  fields.Add("state", StateName(job.state()));
  if (job.state() == v1::JOB_STATE_FAILED) {
    fields.Add("failure", job.failure_message());
  }
  fields.Add("waiting for", job.waiting_for());
  fields.Add("method", MethodName(job.spec()));
  fields.Add("iteration", IterationsText(job));
  fields.Add("training time", SecondsText(job.training_seconds()));
  if (job.state() == v1::JOB_STATE_RUNNING) {
    fields.Add("rate", Rate(job.iterations_per_second()));
  }
  if (job.has_meta_loss()) {
    fields.Add("meta-loss", absl::StrCat(Loss(job.meta_loss()), " in the last iteration"));
  }
  if (job.has_meta_accuracy()) {
    fields.Add("meta-accuracy",
               absl::StrCat(Percent(job.meta_accuracy()), " % in the last iteration"));
  }
  fields.Add("parameters", job.parameters() > 0 ? Count(job.parameters()) : "");
  fields.Add("submitted", TimeText(job.submitted()));
  fields.Add("ended", TimeText(job.ended()));
  if (job.skipped_iterations() > 0) {
    fields.Add("skipped iterations", Count(job.skipped_iterations()));
  }
  if (job.shards_reissued() > 0) {
    fields.Add("shards given out again", Count(job.shards_reissued()));
  }
  if (job.has_last_checkpoint()) {
    fields.Add("last checkpoint", CheckpointLine(job.last_checkpoint()));
  }
  if (job.has_best_checkpoint()) {
    fields.Add("best checkpoint", CheckpointLine(job.best_checkpoint()));
  }
  fields.Add("worker kind", job.fingerprint());
  for (const std::string& warning : job.warnings()) {
    fields.Add("warning", warning);
  }
  std::string text = fields.Render();
  if (job.has_final() || job.has_last_periodic()) {
    absl::StrAppend(
        &text, "\n",
        EvaluationTable(job.has_final() ? job.final() : job.last_periodic(), job.spec()));
  }
  return text;
}

std::string SpecText(const v1::JobSpec& spec) {
  v1::JobSpec shown = spec;
  if (UsesData(shown.tasks()) && DataUseOf(shown.tasks()).split->has_names()) {
    auto* names = MutableSplitOf(*shown.mutable_tasks())->mutable_names();
    CutNames(names->mutable_train());
    CutNames(names->mutable_validation());
    CutNames(names->mutable_test());
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(shown, &text);
  return text;
}

std::string JobFileText(const v1::JobSpec& spec) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(spec, &text);
  return text;
}

std::string LabelsText(const v1::JobSpec& spec) {
  return absl::StrJoin(std::map(spec.labels().begin(), spec.labels().end()), ", ",
                       absl::PairFormatter("="));
}

std::string CheckpointsTable(const std::vector<v1::CheckpointInfo>& checkpoints) {
  Table table({{"CHECKPOINT"},
               {"BEST"},
               {"SIZE", Align::kRight},
               {"WRITTEN"},
               {"PARAMETERS SHA-256"},
               {"PATH"}});
  for (const v1::CheckpointInfo& info : checkpoints) {
    table.Add({absl::StrCat(info.job_id(), "@", info.iteration()), info.best() ? "yes" : "",
               Bytes(info.bytes()), TimeText(info.written()), info.parameters_sha256(),
               info.path()});
  }
  return table.Render();
}

std::string CheckpointText(const Checkpoint& checkpoint) {
  const v1::CheckpointMetadata& metadata = checkpoint.metadata;
  Fields fields;
  fields.Add("job", metadata.job_id());
  fields.Add("iteration", Count(metadata.iteration()));
  fields.Add("parameters", Count(static_cast<uint64_t>(checkpoint.layout.scalars())));
  fields.Add("parameters_sha256", metadata.parameters_sha256());
  fields.Add("training time", SecondsText(metadata.training_seconds()));
  if (metadata.has_validation_accuracy()) {
    fields.Add("validation accuracy", absl::StrCat(Percent(metadata.validation_accuracy()), " %"));
  }
  if (metadata.has_validation_loss()) {
    fields.Add("validation loss", Loss(metadata.validation_loss()));
  }
  if (metadata.has_data_set()) {
    fields.Add("data set",
               absl::StrCat(metadata.data_set().name(), " ", metadata.data_set().sha256()));
  }
  fields.Add("worker kind", metadata.fingerprint());
  Table table({{"TENSOR"}, {"SHAPE"}, {"ROLE"}});
  for (const TensorEntry& entry : checkpoint.layout.tensors()) {
    table.Add({entry.name, absl::StrJoin(entry.shape, " x "),
               absl::AsciiStrToLower(
                   absl::StripPrefix(v1::TensorRole_Name(entry.role), "TENSOR_ROLE_"))});
  }
  return absl::StrCat(fields.Render(), "\n", table.Render(), "\n", SpecText(metadata.spec()));
}

std::string DataSetsTable(const std::vector<v1::DataSetDescription>& data_sets) {
  Table table({{"NAME"},
               {"EXAMPLES", Align::kRight},
               {"SHAPE"},
               {"CLASSES", Align::kRight},
               {"GROUPS", Align::kRight},
               {"SIZE", Align::kRight},
               {"SHA-256"}});
  for (const v1::DataSetDescription& data_set : data_sets) {
    table.Add({data_set.name(), Count(data_set.examples()), ShapeText(data_set.example_shape()),
               Count(data_set.classes()), Count(data_set.groups()), Bytes(data_set.bytes()),
               data_set.sha256()});
  }
  return table.Render();
}

std::string DataSetText(const v1::DataSetDescription& data_set) {
  Fields fields;
  fields.Add("name", data_set.name());
  fields.Add("examples", Count(data_set.examples()));
  fields.Add("shape", absl::StrCat(ShapeText(data_set.example_shape()), " ", data_set.dtype()));
  if (data_set.target_size() > 0) {
    fields.Add("target values", Count(data_set.target_size()));
  } else {
    fields.Add("classes", Count(data_set.classes()));
    fields.Add("smallest class", Count(data_set.smallest_class()));
  }
  fields.Add("groups", Count(data_set.groups()));
  if (data_set.smallest_group() > 0) {
    fields.Add("smallest group", Count(data_set.smallest_group()));
  }
  fields.Add("splits", absl::StrJoin(data_set.splits(), ", "));
  fields.Add("preparation", absl::StrJoin(data_set.preparation(), ", "));
  fields.Add("size", Bytes(data_set.bytes()));
  fields.Add("sha256", data_set.sha256());
  return fields.Render();
}

std::string WorkersTable(const std::vector<v1::WorkerInfo>& workers) {
  Table table({{"WORKER"},
               {"NAME"},
               {"STATE"},
               {"BUSY", Align::kRight},
               {"SHARDS DONE", Align::kRight},
               {"VERSION"},
               {"KIND"},
               {"METRICS"}});
  for (const v1::WorkerInfo& worker : workers) {
    table.Add({worker.id(), worker.name(),
               std::string(absl::StripPrefix(v1::WorkerInfo::State_Name(worker.state()), "STATE_")),
               absl::StrCat(worker.busy_slots(), " of ", worker.slots()),
               Count(worker.shards_done()), worker.version(), worker.fingerprint(),
               worker.metrics_address()});
  }
  return table.Render();
}

}  // namespace innerloop::client
