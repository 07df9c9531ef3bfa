#include <algorithm>

#include "absl/strings/str_join.h"
#include "core/job/checks.h"
#include "core/job/job_spec.h"
#include "core/job/resolve_parts.h"
#include "core/job/task_view.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace job {
namespace {

constexpr uint32_t kMaxMetaBatch = 1'000'000;
constexpr uint64_t kMaxIterations = 1'000'000'000'000;

std::string DefaultName(const v1::JobSpec& spec) {
  const auto member = [](const google::protobuf::Message& message, absl::string_view oneof) {
    const auto* descriptor = message.GetDescriptor()->FindOneofByName(std::string(oneof));
    return message.GetReflection()->GetOneofFieldDescriptor(message, descriptor)->name();
  };
  const std::string tasks = DataSetOf(spec).value_or(member(spec.tasks(), "kind"));
  return absl::StrCat(member(spec.algorithm(), "kind"), "-", tasks).substr(0, 100);
}

// 1 to the value of another field.
absl::Status AtMostAnother(absl::string_view field, uint32_t value, absl::string_view other,
                           uint32_t most) {
  return value >= 1 && value <= most
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat(
                   field, " is ", value, " and ", other, " ", most, "; ", field, " must be 1 to ",
                   most, value > most ? absl::StrCat(", or ", other, " ", value, " or more") : ""));
}

absl::Status ResolveBatches(v1::JobSpec& spec) {
  if (spec.meta_batch() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("meta_batch is missing or 0; it must be 1 to ",
                                                   kMaxMetaBatch, " tasks per iteration"));
  }
  INNERLOOP_RETURN_IF_ERROR(InRange("meta_batch", spec.meta_batch(), 1U, kMaxMetaBatch));
  if (!spec.has_tasks_per_shard()) {
    spec.set_tasks_per_shard(std::min(64U, (spec.meta_batch() + 1) / 2));
  }
  INNERLOOP_RETURN_IF_ERROR(
      AtMostAnother("tasks_per_shard", spec.tasks_per_shard(), "meta_batch", spec.meta_batch()));
  if (!spec.has_tasks_per_chunk()) {
    spec.set_tasks_per_chunk(
        std::min(spec.tasks_per_shard(),
                 spec.model().has_conv4() || spec.model().has_torchscript() ? 8U : 32U));
  }
  INNERLOOP_RETURN_IF_ERROR(AtMostAnother("tasks_per_chunk", spec.tasks_per_chunk(),
                                          "tasks_per_shard", spec.tasks_per_shard()));
  if (spec.iterations() == 0) {
    return absl::InvalidArgumentError("iterations is missing or 0; it must be at least 1");
  }
  return InRange("iterations", spec.iterations(), uint64_t{1}, kMaxIterations);
}

}  // namespace

absl::Status ResolveLoss(v1::JobSpec& spec, const TaskShape* shape) {
  if (shape == nullptr && spec.tasks().has_grouped()) {
    return absl::OkStatus();  // the data set's targets decide
  }
  const bool classification =
      shape != nullptr ? shape->classification : spec.tasks().has_episodes();
  v1::LossSpec& loss = *spec.mutable_loss();
  auto kind = loss.kind();
  INNERLOOP_RETURN_IF_ERROR(OrDefault(
      "loss.kind", kind, classification ? v1::LossSpec::KIND_CROSS_ENTROPY : v1::LossSpec::KIND_MSE,
      v1::LossSpec::Kind_IsValid));
  loss.set_kind(kind);
  const bool for_classes =
      kind == v1::LossSpec::KIND_CROSS_ENTROPY || kind == v1::LossSpec::KIND_BINARY_CROSS_ENTROPY;
  if (classification != for_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("loss.kind is ", v1::LossSpec::Kind_Name(kind), "; ",
                     classification ? "classes want KIND_CROSS_ENTROPY or KIND_BINARY_CROSS_ENTROPY"
                                    : "numeric targets want KIND_MSE or KIND_HUBER"));
  }
  if (kind == v1::LossSpec::KIND_HUBER) {
    loss.set_huber_delta(loss.has_huber_delta() ? loss.huber_delta() : 1);
    return Positive("loss.huber_delta", loss.huber_delta());
  }
  if (loss.has_huber_delta()) {
    return absl::InvalidArgumentError(
        absl::StrCat("loss.huber_delta is for KIND_HUBER alone; the "
                     "loss is ",
                     v1::LossSpec::Kind_Name(kind)));
  }
  return absl::OkStatus();
}

}  // namespace job

namespace {

// Of an example, or that answer it: four channels of 4096x4096 pixels. With so many no product of
// sizes overflows.
constexpr int64_t kMostNumbers = int64_t{1} << 26;

// A data set's description may come from a file that a user sent.
absl::Status CheckShape(const TaskShape& shape) {
  int64_t numbers = 1;
  bool good = !shape.input.empty() && shape.outputs >= 1 && shape.outputs <= kMostNumbers;
  for (const int64_t length : shape.input) {
    good = good && length >= 1 && length <= kMostNumbers / numbers;
    numbers *= good ? length : 1;
  }
  return good
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat(
                   "the tasks have examples of shape [", absl::StrJoin(shape.input, ", "), "] and ",
                   shape.outputs, " outputs; both must be 1 to ", kMostNumbers, " numbers"));
}

}  // namespace

absl::StatusOr<TaskShape> ShapeOfTasks(const v1::JobSpec& resolved,
                                       const v1::DataSetDescription* data_set) {
  const v1::TaskSource& tasks = resolved.tasks();
  if (UsesData(tasks) && data_set == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data set '", *DataUseOf(tasks).dataset, "' is not known"));
  }
  TaskShape shape;
  switch (tasks.kind_case()) {
    case v1::TaskSource::kSinusoid:
      shape.input = {1};
      shape.outputs = 1;
      break;
    case v1::TaskSource::kRandomMap:
      shape.input = {tasks.random_map().inputs()};
      shape.outputs = tasks.random_map().outputs();
      break;
    case v1::TaskSource::kEpisodes:
      shape.input.assign(data_set->example_shape().begin(), data_set->example_shape().end());
      shape.outputs = tasks.episodes().ways();
      shape.classification = true;
      break;
    case v1::TaskSource::kGrouped:
      shape.input.assign(data_set->example_shape().begin(), data_set->example_shape().end());
      shape.classification = data_set->target_size() == 0;
      shape.outputs = shape.classification ? data_set->classes() : data_set->target_size();
      break;
    case v1::TaskSource::KIND_NOT_SET:
      return absl::InvalidArgumentError("tasks is missing");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckShape(shape));
  return shape;
}

absl::StatusOr<v1::JobSpec> ResolveJobSpec(const v1::JobSpec& spec,
                                           const v1::DataSetDescription* data_set) {
  v1::JobSpec resolved = spec;
  INNERLOOP_RETURN_IF_ERROR(CheckWords(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::CheckPublished(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveTasks(*resolved.mutable_tasks()));
  std::optional<TaskShape> shape;
  if (data_set != nullptr || !DataSetOf(resolved).has_value()) {
    INNERLOOP_ASSIGN_OR_RETURN(shape, ShapeOfTasks(resolved, data_set));
  }
  const TaskShape* known_shape = shape.has_value() ? &*shape : nullptr;
  if (data_set != nullptr && DataSetOf(resolved).has_value()) {
    INNERLOOP_RETURN_IF_ERROR(job::CheckAgainstDataSet(resolved, *data_set));
    SetDataSetSha256(*resolved.mutable_tasks(), data_set->sha256());
  }
  INNERLOOP_RETURN_IF_ERROR(job::ResolveModel(resolved, known_shape));
  INNERLOOP_RETURN_IF_ERROR(job::CheckPadding(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::CheckMetric(resolved, known_shape));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveLoss(resolved, known_shape));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveAlgorithm(*resolved.mutable_algorithm(), resolved.tasks()));
  INNERLOOP_RETURN_IF_ERROR(job::CheckTrainingShots(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveOuterOptimizer(*resolved.mutable_outer_optimizer()));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveBatches(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveObjective(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveSchedules(resolved));
  INNERLOOP_RETURN_IF_ERROR(job::ResolveEngine(resolved, known_shape));
  if (resolved.weight() == 0) {
    resolved.set_weight(1);
  }
  INNERLOOP_RETURN_IF_ERROR(job::InRange("weight", resolved.weight(), 0.001, 1000.0));
  if (resolved.name().empty()) {
    resolved.set_name(job::DefaultName(resolved));
  }
  return resolved;
}

}  // namespace innerloop
