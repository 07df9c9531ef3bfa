#include "core/job/usable_classes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/job/empty_split.h"
#include "core/job/task_view.h"
#include "core/support/counted.h"

namespace innerloop {
namespace {

// Of the largest group, in classes.
int64_t LargestGroup(const Dataset& dataset, const std::vector<uint32_t>& classes) {
  std::vector<int64_t> sizes(dataset.group_names().size());
  int64_t largest = 0;
  for (const uint32_t c : classes) {
    largest = std::max(largest, ++sizes[dataset.class_groups()[c]]);
  }
  return largest;
}

}  // namespace

int RotationsPerClass(const v1::EpisodeTasks& tasks, v1::Split split) {
  return split == v1::SPLIT_TRAIN && tasks.rotations() == v1::EpisodeTasks::ROTATIONS_CLASSES ? 4
                                                                                              : 1;
}

absl::Status CheckClasses(const Dataset& dataset, const v1::EpisodeTasks& tasks,
                          const std::vector<uint32_t>& classes, v1::Split split, int64_t ways,
                          int64_t shots, int64_t queries, absl::string_view field) {
  if (tasks.within_group() && dataset.class_groups().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes.within_group is true; the classes of the data set '",
                     tasks.dataset(), "' have no groups"));
  }
  if (classes.empty()) {
    return EmptySplit(DataUseOf(tasks), split, field);
  }
  const int64_t available = RotationsPerClass(tasks, split) *
                            (tasks.within_group() ? LargestGroup(dataset, classes)
                                                  : static_cast<int64_t>(classes.size()));
  if (ways > available) {
    // An evaluation that says nothing of its own has the tasks' ways.
    return absl::InvalidArgumentError(
        absl::StrCat(ways == tasks.ways() ? "tasks.episodes" : field, ".ways is ", ways, "; the ",
                     SplitName(split), " split of '", tasks.dataset(), "' has ",
                     Counted(static_cast<uint64_t>(available), "class", "classes"),
                     tasks.within_group() ? " in its largest group" : ""));
  }
  const auto examples = [&](uint32_t c) {
    return dataset.class_begin(c + 1) - dataset.class_begin(c);
  };
  const auto smallest =
      std::min_element(classes.begin(), classes.end(),
                       [&](uint32_t a, uint32_t b) { return examples(a) < examples(b); });
  if (shots + queries > examples(*smallest)) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, " takes ", ShotsAndQueries(shots, queries), " of each class; class '",
        dataset.class_names()[*smallest], "' of the ", SplitName(split), " split of '",
        tasks.dataset(), "' has ", Counted(static_cast<uint64_t>(examples(*smallest)), "example")));
  }
  return absl::OkStatus();
}

}  // namespace innerloop
