#include "core/job/check_data.h"

#include "absl/functional/function_ref.h"
#include "core/job/task_view.h"
#include "core/job/usable_classes.h"
#include "core/job/usable_groups.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// Of the evaluations that the job schedules.
absl::Status CheckSchedule(
    const v1::EvaluationSchedule& evaluation,
    absl::FunctionRef<absl::Status(const v1::EvaluationProtocol&, absl::string_view field)> check) {
  if (evaluation.every() > 0) {
    INNERLOOP_RETURN_IF_ERROR(check(evaluation.periodic(), "evaluation.periodic"));
  }
  return evaluation.skip_final() ? absl::OkStatus() : check(evaluation.final(), "evaluation.final");
}

absl::Status CheckGroups(const v1::JobSpec& resolved, const Dataset& dataset) {
  const v1::GroupedTasks& tasks = resolved.tasks().grouped();
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, tasks.split()));
  const auto check = [&](v1::Split split, int64_t shots, int64_t queries, absl::string_view field) {
    return UsableGroups(dataset, tasks, lists.Of(split), split, shots, queries, field).status();
  };
  INNERLOOP_RETURN_IF_ERROR(check(v1::SPLIT_TRAIN, static_cast<int64_t>(TrainingShots(resolved)),
                                  tasks.queries(), "tasks.grouped"));
  return CheckSchedule(
      resolved.evaluation(), [&](const v1::EvaluationProtocol& protocol, absl::string_view field) {
        return check(protocol.split(), protocol.shots(), protocol.queries(), field);
      });
}

absl::Status CheckEpisodes(const v1::JobSpec& resolved, const Dataset& dataset) {
  const v1::EpisodeTasks& tasks = resolved.tasks().episodes();
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, tasks.split()));
  const auto check = [&](v1::Split split, int64_t ways, int64_t shots, int64_t queries,
                         absl::string_view field) {
    return CheckClasses(dataset, tasks, lists.Of(split), split, ways, shots, queries, field);
  };
  INNERLOOP_RETURN_IF_ERROR(check(v1::SPLIT_TRAIN, tasks.ways(),
                                  static_cast<int64_t>(TrainingShots(resolved)), tasks.queries(),
                                  "tasks.episodes"));
  return CheckSchedule(resolved.evaluation(), [&](const v1::EvaluationProtocol& protocol,
                                                  absl::string_view field) {
    return check(protocol.split(), protocol.ways(), protocol.shots(), protocol.queries(), field);
  });
}

}  // namespace

absl::Status CheckJobAgainstData(const v1::JobSpec& resolved, const Dataset& dataset) {
  if (!UsesData(resolved.tasks())) {
    return absl::OkStatus();
  }
  return resolved.tasks().has_grouped() ? CheckGroups(resolved, dataset)
                                        : CheckEpisodes(resolved, dataset);
}

}  // namespace innerloop
