#include "core/job/check_data.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "core/job/task_view.h"
#include "core/job/usable_groups.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// Classes of the largest group within `classes`.
uint64_t LargestGroup(const std::vector<uint32_t>& classes, const Dataset& dataset) {
  std::map<uint32_t, uint64_t> sizes;
  uint64_t largest = 0;
  for (const uint32_t c : classes) {
    largest = std::max(largest, ++sizes[dataset.class_groups()[c]]);
  }
  return largest;
}

// `field` asks for `ways` classes of the split.
absl::Status CheckClasses(const v1::EpisodeTasks& tasks, uint32_t ways, absl::string_view field,
                          const ClassLists& lists, v1::Split split, const Dataset& dataset) {
  const std::vector<uint32_t>& classes = lists.Of(split);
  // Rotated training classes are classes of their own.
  const uint64_t turns =
      split == v1::SPLIT_TRAIN && tasks.rotations() == v1::EpisodeTasks::ROTATIONS_CLASSES ? 4 : 1;
  const uint64_t available =
      turns * (tasks.within_group() ? LargestGroup(classes, dataset) : classes.size());
  if (ways > available) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".ways is ", ways, "; the ", SplitName(split), " split of '", tasks.dataset(),
        "' has ", available, " classes", tasks.within_group() ? " in its largest group" : ""));
  }
  return absl::OkStatus();
}

absl::Status CheckExamples(const v1::EvaluationProtocol& protocol, absl::string_view field,
                           const ClassLists& lists, const Dataset& dataset) {
  for (const uint32_t c : lists.Of(protocol.split())) {
    const int64_t examples = dataset.class_begin(c + 1) - dataset.class_begin(c);
    if (int64_t{protocol.shots()} + protocol.queries() > examples) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, " takes ", protocol.shots(), " shots and ", protocol.queries(),
                       " queries of each class; class '", dataset.class_names()[c], "' of the ",
                       SplitName(protocol.split()), " split has ", examples, " examples"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckGroups(const v1::JobSpec& resolved, const Dataset& dataset) {
  const v1::GroupedTasks& tasks = resolved.tasks().grouped();
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, tasks.split()));
  const auto check = [&](v1::Split split, int64_t shots, int64_t queries, absl::string_view field) {
    return UsableGroups(dataset, tasks, lists.Of(split), split, shots, queries, field).status();
  };
  INNERLOOP_RETURN_IF_ERROR(check(v1::SPLIT_TRAIN, static_cast<int64_t>(TrainingShots(resolved)),
                                  tasks.queries(), "tasks.grouped"));
  const v1::EvaluationSchedule& evaluation = resolved.evaluation();
  if (evaluation.every() > 0) {
    const v1::EvaluationProtocol& periodic = evaluation.periodic();
    INNERLOOP_RETURN_IF_ERROR(
        check(periodic.split(), periodic.shots(), periodic.queries(), "evaluation.periodic"));
  }
  if (!evaluation.skip_final()) {
    const v1::EvaluationProtocol& final = evaluation.final();
    INNERLOOP_RETURN_IF_ERROR(
        check(final.split(), final.shots(), final.queries(), "evaluation.final"));
  }
  return absl::OkStatus();
}

absl::Status CheckEpisodes(const v1::JobSpec& resolved, const Dataset& dataset) {
  const v1::EpisodeTasks& tasks = resolved.tasks().episodes();
  if (tasks.within_group() && dataset.class_groups().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.episodes.within_group: the classes of '",
                                                   tasks.dataset(), "' have no groups"));
  }
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, tasks.split()));
  INNERLOOP_RETURN_IF_ERROR(
      CheckClasses(tasks, tasks.ways(), "tasks.episodes", lists, v1::SPLIT_TRAIN, dataset));
  const v1::EvaluationSchedule& evaluation = resolved.evaluation();
  if (evaluation.every() > 0) {
    const v1::EvaluationProtocol& periodic = evaluation.periodic();
    INNERLOOP_RETURN_IF_ERROR(CheckClasses(tasks, periodic.ways(), "evaluation.periodic", lists,
                                           periodic.split(), dataset));
    INNERLOOP_RETURN_IF_ERROR(CheckExamples(periodic, "evaluation.periodic", lists, dataset));
  }
  if (!evaluation.skip_final()) {
    const v1::EvaluationProtocol& final = evaluation.final();
    INNERLOOP_RETURN_IF_ERROR(
        CheckClasses(tasks, final.ways(), "evaluation.final", lists, final.split(), dataset));
    INNERLOOP_RETURN_IF_ERROR(CheckExamples(final, "evaluation.final", lists, dataset));
  }
  return absl::OkStatus();
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
