#include "core/job/usable_groups.h"

#include <algorithm>
#include <string>

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "core/job/empty_split.h"
#include "core/job/task_view.h"
#include "core/support/counted.h"

namespace innerloop {
namespace {

constexpr size_t kNamed = 3;

int64_t ExamplesOf(const Dataset& dataset, uint32_t group) {
  return dataset.group_begin(group + 1) - dataset.group_begin(group);
}

// "'a' (3 examples), 'b' (4), 'c' (4) and 5 more".
std::string NamesOf(const Dataset& dataset, const std::vector<uint32_t>& groups) {
  std::string names;
  for (size_t i = 0; i < std::min(groups.size(), kNamed); ++i) {
    const auto examples = static_cast<uint64_t>(ExamplesOf(dataset, groups[i]));
    absl::StrAppend(&names, i > 0 ? ", '" : "'", dataset.group_names()[groups[i]], "' (",
                    i > 0 ? absl::StrCat(examples) : Counted(examples, "example"), ")");
  }
  if (groups.size() > kNamed) {
    absl::StrAppend(&names, " and ", groups.size() - kNamed, " more");
  }
  return names;
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> UsableGroups(const Dataset& dataset,
                                                   const v1::GroupedTasks& tasks,
                                                   const std::vector<uint32_t>& groups,
                                                   v1::Split split, int64_t shots, int64_t queries,
                                                   absl::string_view field) {
  if (groups.empty()) {
    return EmptySplit(DataUseOf(tasks), split, field);
  }
  const bool pads = tasks.small_groups() == v1::GroupedTasks::SMALL_GROUPS_PAD;
  const int64_t needed = pads ? 2 : shots + queries;
  std::vector<uint32_t> usable;
  std::vector<uint32_t> small;
  for (const uint32_t group : groups) {
    (ExamplesOf(dataset, group) < needed ? small : usable).push_back(group);
  }
  if (!small.empty() && tasks.small_groups() == v1::GroupedTasks::SMALL_GROUPS_REFUSE) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, " takes ", ShotsAndQueries(shots, queries), " of a group; ", small.size(), " of ",
        Counted(groups.size(), "group"), " of the ", SplitName(split), " split of '",
        tasks.dataset(), "' ", small.size() == 1 ? "has" : "have", " fewer: ",
        NamesOf(dataset, small), "; small_groups can be SMALL_GROUPS_SKIP or SMALL_GROUPS_PAD"));
  }
  if (usable.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": none of the ", Counted(groups.size(), "group"), " of the ", SplitName(split),
        " split of '", tasks.dataset(), "' has the ", needed, " examples that ",
        pads ? "padding needs" : absl::StrCat(ShotsAndQueries(shots, queries), " need")));
  }
  return usable;
}

void LogLeftOut(const v1::GroupedTasks& tasks, size_t all, size_t usable) {
  if (usable < all) {
    spdlog::info("tasks.grouped: {} of {} training groups of '{}' are too small and left out",
                 all - usable, all, tasks.dataset());
  }
}

}  // namespace innerloop
