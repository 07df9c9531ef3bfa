#include "core/job/adaptation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

template <typename... Parts>
absl::Status Invalid(const Parts&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

std::string ShapeText(const google::protobuf::RepeatedField<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// Of one example; 0 when no example has the shape.
int64_t ExampleBytes(const v1::Examples& examples) {
  int64_t bytes = examples.has_uint8() ? 1 : int64_t{sizeof(float)};
  for (const int64_t length : examples.shape()) {
    if (length < 1 || length > std::numeric_limits<int64_t>::max() / bytes) {
      return 0;
    }
    bytes *= length;
  }
  return bytes;
}

// The first value that is not finite, or -1.
int64_t FirstOdd(const std::string& floats) {
  for (size_t at = 0; at + sizeof(float) <= floats.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, floats.data() + at, sizeof(float));
    if (!std::isfinite(value)) {
      return static_cast<int64_t>(at / sizeof(float));
    }
  }
  return -1;
}

absl::Status CheckExamples(const v1::ModelDescription& model, absl::string_view field,
                           const v1::Examples& examples) {
  if (!std::equal(model.input_shape().begin(), model.input_shape().end(), examples.shape().begin(),
                  examples.shape().end())) {
    return Invalid(field, ".shape is ", ShapeText(examples.shape()), "; the model takes ",
                   ShapeText(model.input_shape()));
  }
  if (examples.has_uint8() && model.input_shape_size() != 3) {
    return Invalid(field, " are uint8, which is for images; the model takes float32 features");
  }
  const int64_t bytes = BytesOf(examples);
  const int64_t one = ExampleBytes(examples);
  if (one == 0) {
    return Invalid(field, ".shape is ", ShapeText(examples.shape()),
                   ", which no example can have: every length must be at least 1");
  }
  if (bytes == 0 || bytes % one != 0) {
    return Invalid(field, " hold ", bytes, " bytes; they must be one or more examples of ", one,
                   " bytes each");
  }
  if (const int64_t odd = FirstOdd(examples.float32()); odd >= 0) {
    return Invalid(field, " hold an infinity or a NaN in example ",
                   odd * static_cast<int64_t>(sizeof(float)) / one, "; numbers must be finite");
  }
  return absl::OkStatus();
}

absl::Status CheckLabels(const v1::ModelDescription& model, const v1::SupportSet& support) {
  const auto& labels = support.labels();
  const uint32_t largest = *std::max_element(labels.begin(), labels.end());
  if (model.shared_classes()) {
    return largest < model.most_classes()
               ? absl::OkStatus()
               : Invalid("support.labels hold class ", largest, "; the model knows classes 0 to ",
                         model.most_classes() - 1);
  }
  const auto examples = static_cast<uint32_t>(labels.size());
  std::vector<bool> seen(examples, false);
  for (const uint32_t label : labels) {
    if (label < examples) {
      seen[label] = true;
    }
  }
  const auto missing = std::find(seen.begin(), seen.end(), false) - seen.begin();
  if (missing <= static_cast<int64_t>(largest)) {
    return Invalid("support.labels hold no example of class ", missing, ", but of class ", largest,
                   "; classes count from 0 and each has an example");
  }
  if (largest == 0) {
    return Invalid("the support set has 1 class; there is nothing to tell apart");
  }
  if (model.most_classes() > 0 && largest >= model.most_classes()) {
    return Invalid("the support set has ", int64_t{largest} + 1,
                   " classes; the model tells at most ", model.most_classes(), " apart");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::ModelDescription> DescribeModel(const v1::CheckpointMetadata& metadata) {
  const v1::JobSpec& spec = metadata.spec();
  INNERLOOP_ASSIGN_OR_RETURN(
      const TaskShape shape,
      ShapeOfTasks(spec, metadata.has_data_set() ? &metadata.data_set() : nullptr));
  v1::ModelDescription model = DescribeInputs(spec, shape);
  model.set_job_id(metadata.job_id());
  model.set_iteration(metadata.iteration());
  INNERLOOP_ASSIGN_OR_RETURN(*model.mutable_rule(), ResolveRule(spec, v1::AdaptationRule()));
  if (metadata.has_data_set()) {
    *model.mutable_data_set() = metadata.data_set();
  }
  return model;
}

v1::ModelDescription DescribeInputs(const v1::JobSpec& resolved, const TaskShape& shape) {
  v1::ModelDescription model;
  model.mutable_input_shape()->Add(shape.input.begin(), shape.input.end());
  model.set_shared_classes(resolved.tasks().has_grouped() && shape.classification);
  model.set_takes_steps(!job::IsMetric(resolved.algorithm()));
  if (!shape.classification) {
    model.set_target_size(static_cast<uint32_t>(shape.outputs));
  } else if (model.takes_steps() || model.shared_classes()) {
    model.set_most_classes(static_cast<uint32_t>(shape.outputs));
  }
  return model;
}

absl::StatusOr<v1::AdaptationRule> ResolveRule(const v1::JobSpec& resolved,
                                               const v1::AdaptationRule& rule) {
  v1::EvaluationProtocol protocol = resolved.evaluation().final();
  if (rule.has_inner_steps()) {
    protocol.set_inner_steps(rule.inner_steps());
  }
  if (rule.has_line_search()) {
    protocol.set_line_search(rule.line_search());
  }
  protocol.set_transduction(rule.transduction() == v1::TRANSDUCTION_UNSPECIFIED
                                ? v1::TRANSDUCTION_SUPPORT_STATISTICS
                                : rule.transduction());
  INNERLOOP_ASSIGN_OR_RETURN(protocol, ResolveProtocol(resolved, protocol, v1::SPLIT_TEST,
                                                       /*default_episodes=*/1, "rule"));
  v1::AdaptationRule result;
  result.set_inner_steps(protocol.inner_steps());
  result.set_transduction(protocol.transduction());
  result.set_line_search(protocol.line_search());
  return result;
}

absl::Status CheckSupport(const v1::ModelDescription& model, const v1::SupportSet& support) {
  INNERLOOP_RETURN_IF_ERROR(CheckExamples(model, "support.inputs", support.inputs()));
  if (BytesOf(support.inputs()) > kMaxSupportBytes) {
    return Invalid("support.inputs have ", BytesOf(support.inputs()), " bytes; at most ",
                   kMaxSupportBytes, " are taken");
  }
  const int64_t count = CountOf(support.inputs());
  if (model.target_size() == 0) {
    if (support.labels_size() != count || support.targets_size() > 0) {
      return Invalid("the support set has ", count, " examples, ", support.labels_size(),
                     " labels and ", support.targets_size(),
                     " targets; the model wants one label for each example");
    }
    return CheckLabels(model, support);
  }
  if (support.targets_size() != count * model.target_size() || support.labels_size() > 0) {
    return Invalid("the support set has ", count, " examples, ", support.targets_size(),
                   " targets and ", support.labels_size(), " labels; the model wants ",
                   model.target_size(), " target(s) for each example");
  }
  if (!std::all_of(support.targets().begin(), support.targets().end(),
                   [](float target) { return std::isfinite(target); })) {
    return Invalid("support.targets hold an infinity or a NaN; numbers must be finite");
  }
  return absl::OkStatus();
}

absl::Status CheckQueries(const v1::ModelDescription& model, const v1::SupportSet& support,
                          const v1::Examples& queries) {
  INNERLOOP_RETURN_IF_ERROR(CheckExamples(model, "queries", queries));
  const int64_t most = MostQueries(model, support, ExampleBytes(queries));
  if (CountOf(queries) > most) {
    return Invalid(CountOf(queries), " queries were sent; at most ", most,
                   " like these fit one call with this support set");
  }
  return absl::OkStatus();
}

int64_t BytesOf(const v1::Examples& examples) {
  return static_cast<int64_t>(examples.has_uint8() ? examples.uint8().size()
                                                   : examples.float32().size());
}

int64_t CountOf(const v1::Examples& examples) {
  const int64_t one = ExampleBytes(examples);
  return one == 0 ? 0 : BytesOf(examples) / one;
}

int64_t AnswerSize(const v1::ModelDescription& model, const v1::SupportSet& support) {
  if (model.target_size() > 0) {
    return model.target_size();
  }
  return model.shared_classes()
             ? int64_t{model.most_classes()}
             : int64_t{*std::max_element(support.labels().begin(), support.labels().end())} + 1;
}

int64_t MostQueries(const v1::ModelDescription& model, const v1::SupportSet& support,
                    int64_t bytes_of_one) {
  return std::min((kMaxExampleBytes - BytesOf(support.inputs())) / bytes_of_one,
                  kMaxAnswers / AnswerSize(model, support));
}

}  // namespace innerloop
