#include "core/meta/adaptation/adapt.h"

#include <cmath>
#include <map>
#include <string>

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/adaptation.h"
#include "core/meta/adaptation/export.h"
#include "core/meta/adaptation/own_task_reader.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

constexpr uint32_t kMostSteps = 10'000;
constexpr uint32_t kMostHalvings = 30;

absl::StatusOr<EvaluationRule> ReadRule(const v1::AdaptationRule& rule, bool steps) {
  if (rule.inner_steps() > (steps ? kMostSteps : 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rule.inner_steps is ", rule.inner_steps(), "; ",
        steps ? absl::StrCat("at most ", kMostSteps) : "metric methods take none: 0 is right"));
  }
  if (rule.line_search() > kMostHalvings) {
    return absl::InvalidArgumentError(
        absl::StrCat("rule.line_search is ", rule.line_search(), "; at most ", kMostHalvings));
  }
  if (rule.transduction() == v1::TRANSDUCTION_UNSPECIFIED ||
      !v1::Transduction_IsValid(rule.transduction())) {
    return absl::InvalidArgumentError("rule.transduction is missing (is the rule resolved?)");
  }
  return EvaluationRule{.steps = rule.inner_steps(),
                        .transduction = rule.transduction(),
                        .line_search = rule.line_search()};
}

absl::Status CheckFinite(const AdaptedTask& adapted) {
  for (size_t step = 0; step < adapted.support_losses.size(); ++step) {
    if (!std::isfinite(adapted.support_losses[step])) {
      return absl::FailedPreconditionError(absl::StrCat(
          "adaptation diverged: the support loss is ", adapted.support_losses[step], " after ",
          step,
          " inner steps; take fewer, or rule.line_search, and check that the inputs are "
          "prepared as the training set's were"));
    }
  }
  if (adapted.outputs.defined() && !at::isfinite(adapted.outputs).all().item<bool>()) {
    return absl::FailedPreconditionError(
        "a query's outputs are not finite; check that the queries are prepared as the training "
        "set was");
  }
  return absl::OkStatus();
}

// Probabilities for classification.
Tensor ValuesOf(const v1::LossSpec& loss, const Tensor& outputs) {
  switch (loss.kind()) {
    case v1::LossSpec::KIND_CROSS_ENTROPY:
      return at::softmax(outputs, 1);
    case v1::LossSpec::KIND_BINARY_CROSS_ENTROPY:
      return at::sigmoid(outputs);
    default:
      return outputs;
  }
}

void CopyTo(const Tensor& values, google::protobuf::RepeatedField<float>& field) {
  const Tensor flat = values.contiguous();
  const float* value = flat.const_data_ptr<float>();
  field.Add(value, value + flat.numel());
}

std::map<std::string, std::string> Describe(const v1::JobSpec& resolved, const TaskForm& form,
                                            const OwnTask& read, const v1::AdaptationTask& task) {
  std::string rule;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  const auto status = google::protobuf::util::MessageToJsonString(task.rule(), &rule, options);
  TORCH_CHECK(status.ok(), status.ToString());
  return {{"format", "innerloop-adapted-1"},
          {"job", resolved.name()},
          {"iteration", absl::StrCat(task.version())},
          {"rule", rule},
          {"classes", absl::StrCat(read.classes)},
          {"support_examples", absl::StrCat(read.support.count())},
          {"input_shape", absl::StrJoin(form.shape.input, ",")}};
}

}  // namespace

absl::StatusOr<AdaptationOutput> AdaptToTask(const v1::JobSpec& resolved, const TaskForm& form,
                                             const Algorithm& algorithm, const Tensors& theta,
                                             const v1::AdaptationTask& task) {
  INNERLOOP_ASSIGN_OR_RETURN(const EvaluationRule rule,
                             ReadRule(task.rule(), /*steps=*/!algorithm.AnyWays()));
  INNERLOOP_ASSIGN_OR_RETURN(
      const OwnTask read, ReadOwnTask(task, DescribeInputs(resolved, form.shape), form.statistics));
  if (rule.transduction == v1::TRANSDUCTION_SUPPORT_STATISTICS &&
      !algorithm.model().TakesStatisticsRows()) {
    return absl::InvalidArgumentError(
        "rule.transduction is TRANSDUCTION_SUPPORT_STATISTICS, which is not possible with this "
        "model.torchscript: its outputs for an example depend on the other examples, in a way that "
        "only the module knows; take TRANSDUCTION_ALL_QUERIES or TRANSDUCTION_SINGLE_QUERY");
  }
  const AdaptedTask adapted = algorithm.Adapt(theta, read, rule);
  INNERLOOP_RETURN_IF_ERROR(CheckFinite(adapted));
  AdaptationOutput output;
  output.result.mutable_support_losses()->Add(adapted.support_losses.begin(),
                                              adapted.support_losses.end());
  if (adapted.outputs.defined()) {
    v1::Predictions& predictions = *output.result.mutable_predictions();
    predictions.set_size(static_cast<uint32_t>(adapted.outputs.size(1)));
    CopyTo(ValuesOf(resolved.loss(), adapted.outputs), *predictions.mutable_values());
    if (form.shape.classification) {
      CopyTo(adapted.outputs, *predictions.mutable_logits());
    }
  }
  if (task.format() != v1::ExportRequest::FORMAT_UNSPECIFIED) {
    const ModelExport exported{.adapted = adapted,
                               .support = read.support.inputs[0],
                               .input_shape = form.shape.input,
                               .statistics = form.statistics,
                               .transduction = rule.transduction,
                               .description = Describe(resolved, form, read, task)};
    INNERLOOP_ASSIGN_OR_RETURN(output.file, Export(exported, task.format()));
    output.result.set_file_bytes(output.file.size());
  }
  return output;
}

}  // namespace innerloop::meta
