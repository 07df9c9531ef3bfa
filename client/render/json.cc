#include <map>

#include <google/protobuf/util/json_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/render/protocol.h"
#include "client/render/views.h"

namespace innerloop::client {
namespace {

std::string LowerSuffix(const std::string& enumerator, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enumerator, prefix));
}

}  // namespace

std::string JsonLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string StateName(v1::JobState state) {
  return std::string(absl::StripPrefix(v1::JobState_Name(state), "JOB_STATE_"));
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return time.seconds() == 0
             ? ""
             : absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                                absl::UTCTimeZone());
}

Json SpecJson(const v1::JobSpec& spec) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(spec, &text, options).ok()) {
    return nullptr;
  }
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

Json LabelsJson(const v1::JobSpec& spec) {
  Json json = Json::object();
  for (const auto& [key, value] : std::map(spec.labels().begin(), spec.labels().end())) {
    json[key] = value;
  }
  return json;
}

Json EvaluationJson(const v1::Evaluation& evaluation, const v1::JobSpec& spec) {
  Json json;
  json["iteration"] = evaluation.iteration();
  AddProtocol(json, evaluation, spec);
  json["steps"] = Json::array();
  for (const v1::StepMeasure& measure : evaluation.steps()) {
    Json step;
    step["step"] = measure.step();
    step["loss"] = measure.loss();
    step["loss_ci95"] = measure.loss_ci95();
    if (measure.has_accuracy()) {
      step["accuracy"] = measure.accuracy();
      step["accuracy_ci95"] = measure.accuracy_ci95();
    }
    json["steps"].push_back(std::move(step));
  }
  return json;
}

Json PublishedJson(const v1::PublishedResult& result) {
  Json json;
  json["source"] = result.source();
  json["step"] = result.step();
  if (result.has_loss()) {
    json["loss"] = result.loss();
  }
  if (result.has_accuracy()) {
    json["accuracy"] = result.accuracy();
  }
  return json;
}

Json IterationJson(const v1::IterationRecord& record) {
  Json json;
  json["iteration"] = record.iteration();
  json["meta_loss"] = record.meta_loss();
  if (record.has_meta_accuracy()) {
    json["meta_accuracy"] = record.meta_accuracy();
  }
  if (record.has_support_loss_before()) {
    json["support_loss_before"] = record.support_loss_before();
  }
  if (record.has_support_loss_after()) {
    json["support_loss_after"] = record.support_loss_after();
  }
  if (record.has_query_loss_before()) {
    json["query_loss_before"] = record.query_loss_before();
  }
  json["update_norm"] = record.update_norm();
  json["learning_rate"] = record.learning_rate();
  json["seconds"] = record.seconds();
  if (record.skipped()) {
    json["skipped"] = true;
  }
  return json;
}

Json CheckpointInfoJson(const v1::CheckpointInfo& info) {
  Json json;
  json["job"] = info.job_id();
  json["iteration"] = info.iteration();
  json["bytes"] = info.bytes();
  json["parameters_sha256"] = info.parameters_sha256();
  json["path"] = info.path();
  json["best"] = info.best();
  json["written"] = TimeText(info.written());
  return json;
}

Json JobJson(const v1::Job& job) {
  Json json;
  json["job"] = job.id();
  json["name"] = job.spec().name();
  json["labels"] = LabelsJson(job.spec());
  json["state"] = StateName(job.state());
  json["iteration"] = job.iteration();
  json["iterations"] = job.spec().iterations();
  json["seconds"] = job.training_seconds();
  json["iterations_per_second"] = job.iterations_per_second();
  if (job.has_meta_loss()) {
    json["meta_loss"] = job.meta_loss();
  }
  if (job.has_meta_accuracy()) {
    json["meta_accuracy"] = job.meta_accuracy();
  }
  json["submitted"] = TimeText(job.submitted());
  if (job.has_ended()) {
    json["ended"] = TimeText(job.ended());
  }
  json["parameters"] = job.parameters();
  json["waiting_for"] = job.waiting_for();
  json["warnings"] = Json::array();
  for (const std::string& warning : job.warnings()) {
    json["warnings"].push_back(warning);
  }
  if (job.state() == v1::JOB_STATE_FAILED) {
    json["failure"] = job.failure_message();
  }
  json["skipped_iterations"] = job.skipped_iterations();
  json["shards_reissued"] = job.shards_reissued();
  json["fingerprint"] = job.fingerprint();
  if (job.has_last_checkpoint()) {
    json["last_checkpoint"] = CheckpointInfoJson(job.last_checkpoint());
  }
  if (job.has_best_checkpoint()) {
    json["best_checkpoint"] = CheckpointInfoJson(job.best_checkpoint());
  }
  if (job.has_last_periodic()) {
    json["last_evaluation"] = EvaluationJson(job.last_periodic(), job.spec());
  }
  if (job.has_final()) {
    json["evaluation"] = EvaluationJson(job.final(), job.spec());
  }
  json["spec"] = SpecJson(job.spec());
  return json;
}

Json CheckpointJson(const Checkpoint& checkpoint) {
  const v1::CheckpointMetadata& metadata = checkpoint.metadata;
  Json json;
  json["job"] = metadata.job_id();
  json["iteration"] = metadata.iteration();
  json["parameters"] = checkpoint.layout.scalars();
  json["parameters_sha256"] = metadata.parameters_sha256();
  json["seconds"] = metadata.training_seconds();
  json["optimizer_steps"] = metadata.optimizer_steps();
  json["fingerprint"] = metadata.fingerprint();
  if (metadata.has_validation_loss()) {
    json["validation_loss"] = metadata.validation_loss();
  }
  if (metadata.has_validation_accuracy()) {
    json["validation_accuracy"] = metadata.validation_accuracy();
  }
  if (metadata.has_data_set()) {
    json["data_set"] = DataSetJson(metadata.data_set());
  }
  json["tensors"] = Json::array();
  for (const TensorEntry& entry : checkpoint.layout.tensors()) {
    Json tensor;
    tensor["name"] = entry.name;
    tensor["shape"] = entry.shape;
    tensor["role"] = LowerSuffix(v1::TensorRole_Name(entry.role), "TENSOR_ROLE_");
    json["tensors"].push_back(std::move(tensor));
  }
  json["spec"] = SpecJson(metadata.spec());
  return json;
}

Json DataSetJson(const v1::DataSetDescription& data_set) {
  Json json;
  json["name"] = data_set.name();
  json["sha256"] = data_set.sha256();
  json["bytes"] = data_set.bytes();
  json["examples"] = data_set.examples();
  json["example_shape"] =
      std::vector<int64_t>(data_set.example_shape().begin(), data_set.example_shape().end());
  json["dtype"] = data_set.dtype();
  json["classes"] = data_set.classes();
  json["groups"] = data_set.groups();
  json["smallest_class"] = data_set.smallest_class();
  json["target_size"] = data_set.target_size();
  json["smallest_group"] = data_set.smallest_group();
  json["preparation"] =
      std::vector<std::string>(data_set.preparation().begin(), data_set.preparation().end());
  json["splits"] = std::vector<std::string>(data_set.splits().begin(), data_set.splits().end());
  return json;
}

Json WorkerJson(const v1::WorkerInfo& worker) {
  Json json;
  json["worker"] = worker.id();
  json["name"] = worker.name();
  json["state"] =
      std::string(absl::StripPrefix(v1::WorkerInfo::State_Name(worker.state()), "STATE_"));
  json["slots"] = worker.slots();
  json["busy_slots"] = worker.busy_slots();
  json["shards_done"] = worker.shards_done();
  json["version"] = worker.version();
  json["fingerprint"] = worker.fingerprint();
  json["connected"] = TimeText(worker.connected());
  json["metrics"] = worker.metrics_address();
  return json;
}

}  // namespace innerloop::client
