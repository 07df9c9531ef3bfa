#include "core/job/check_data.h"

#include "core/job/scheduled_evaluations.h"
#include "core/job/task_view.h"
#include "core/job/usable_classes.h"
#include "core/job/usable_groups.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// Tasks of these sizes from a part of the job's split, for what is called `field` in messages.
absl::Status CheckSizes(const v1::TaskSource& tasks, const Dataset& dataset,
                        const ClassLists& lists, v1::Split split, const TaskCounts& sizes,
                        absl::string_view field) {
  return tasks.has_grouped() ? UsableGroups(dataset, tasks.grouped(), lists.Of(split), split,
                                            sizes.shots, sizes.queries, field)
                                   .status()
                             : CheckClasses(dataset, tasks.episodes(), lists.Of(split), split,
                                            sizes.ways, sizes.shots, sizes.queries, field);
}

TaskCounts SizesOf(const v1::EvaluationProtocol& protocol) {
  return {.ways = protocol.ways(), .shots = protocol.shots(), .queries = protocol.queries()};
}

}  // namespace

absl::Status CheckJobAgainstData(const v1::JobSpec& resolved, const Dataset& dataset) {
  const v1::TaskSource& tasks = resolved.tasks();
  if (!UsesData(tasks)) {
    return absl::OkStatus();
  }
  const DataUse use = DataUseOf(tasks);
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, *use.split));
  TaskCounts training = CountsOf(tasks);
  training.shots = static_cast<uint32_t>(TrainingShots(resolved));
  INNERLOOP_RETURN_IF_ERROR(
      CheckSizes(tasks, dataset, lists, v1::SPLIT_TRAIN, training, use.field));
  return CheckEach(
      resolved.evaluation(), [&](const v1::EvaluationProtocol& protocol, absl::string_view field) {
        return CheckSizes(tasks, dataset, lists, protocol.split(), SizesOf(protocol), field);
      });
}

absl::Status CheckProtocolAgainstData(const v1::JobSpec& resolved,
                                      const v1::EvaluationProtocol& protocol,
                                      const Dataset& dataset, absl::string_view field) {
  if (!UsesData(resolved.tasks())) {
    return absl::OkStatus();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists,
                             ResolveSplit(dataset, *DataUseOf(resolved.tasks()).split));
  return CheckSizes(resolved.tasks(), dataset, lists, protocol.split(), SizesOf(protocol), field);
}

}  // namespace innerloop
