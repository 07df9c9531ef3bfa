#include "core/job/check_data.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

absl::string_view SplitName(v1::Split split) {
  switch (split) {
    case v1::SPLIT_VALIDATION:
      return "validation";
    case v1::SPLIT_TEST:
      return "test";
    default:
      return "train";
  }
}

// Classes of the largest group within `classes`.
uint64_t LargestGroup(const std::vector<uint32_t>& classes, const Dataset& dataset) {
  std::map<uint32_t, uint64_t> sizes;
  uint64_t largest = 0;
  for (const uint32_t c : classes) {
    largest = std::max(largest, ++sizes[dataset.class_groups()[c]]);
  }
  return largest;
}

}  // namespace

absl::Status CheckSplitAgainstData(const v1::EpisodeTasks& tasks, v1::Split split,
                                   const Dataset& dataset) {
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, tasks.split()));
  const std::vector<uint32_t>& classes = lists.Of(split);
  // Rotated training classes are classes of their own.
  const bool four =
      split == v1::SPLIT_TRAIN && tasks.rotations() == v1::EpisodeTasks::ROTATIONS_CLASSES;
  const uint64_t available = classes.size() * (four ? 4 : 1);
  if (tasks.ways() > available) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes.ways is ", tasks.ways(), "; the ", SplitName(split),
                     " split of '", tasks.dataset(), "' has ", available, " classes"));
  }
  if (!tasks.within_group()) {
    return absl::OkStatus();
  }
  if (dataset.class_groups().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.episodes.within_group: the classes of '",
                                                   tasks.dataset(), "' have no groups"));
  }
  if (const uint64_t largest = LargestGroup(classes, dataset) * (four ? 4 : 1);
      tasks.ways() > largest) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tasks.episodes.ways is ", tasks.ways(), "; the largest group in the ", SplitName(split),
        " split of '", tasks.dataset(), "' has ", largest, " classes"));
  }
  return absl::OkStatus();
}

absl::Status CheckJobAgainstData(const v1::JobSpec& resolved, const Dataset& dataset) {
  if (!resolved.tasks().has_episodes()) {
    return absl::OkStatus();
  }
  const v1::EpisodeTasks& tasks = resolved.tasks().episodes();
  INNERLOOP_RETURN_IF_ERROR(CheckSplitAgainstData(tasks, v1::SPLIT_TRAIN, dataset));
  const v1::EvaluationSchedule& evaluation = resolved.evaluation();
  if (evaluation.every() > 0) {
    INNERLOOP_RETURN_IF_ERROR(CheckSplitAgainstData(tasks, evaluation.periodic().split(), dataset));
  }
  if (!evaluation.skip_final()) {
    INNERLOOP_RETURN_IF_ERROR(CheckSplitAgainstData(tasks, evaluation.final().split(), dataset));
  }
  return absl::OkStatus();
}

}  // namespace innerloop
