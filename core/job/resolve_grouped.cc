#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/job/task_view.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr uint32_t kMaxExamples = 100'000;

}  // namespace

absl::Status ResolveGrouped(v1::GroupedTasks& tasks) {
  INNERLOOP_RETURN_IF_ERROR(
      CheckDataSetFields("tasks.grouped", tasks.dataset(), tasks.dataset_sha256()));
  if (!tasks.has_queries()) {
    tasks.set_queries(tasks.shots());
  }
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.grouped.shots", tasks.shots(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.grouped.queries", tasks.queries(), 1U, kMaxExamples));
  v1::GroupedTasks::SmallGroups small_groups = tasks.small_groups();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("tasks.grouped.small_groups", small_groups,
                                      v1::GroupedTasks::SMALL_GROUPS_REFUSE,
                                      v1::GroupedTasks::SmallGroups_IsValid));
  tasks.set_small_groups(small_groups);
  return CheckSplit("tasks.grouped.split", "groups", tasks.split());
}

absl::Status CheckGroupedAgainstDataSet(const v1::GroupedTasks& tasks,
                                        const v1::DataSetDescription& data_set) {
  if (data_set.smallest_group() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.grouped.dataset '", tasks.dataset(),
                     "' has no group for each example; import it with --group, or take "
                     "tasks.episodes"));
  }
  if (data_set.target_size() == 0 && data_set.classes() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.grouped.dataset '", tasks.dataset(),
                     "' has one class; there is nothing to tell apart"));
  }
  if (tasks.stratified() && data_set.target_size() > 0) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.grouped.stratified is for classes; '",
                                                   tasks.dataset(), "' has numeric targets"));
  }
  return CheckSplitCounts("tasks.grouped.split", "groups", tasks.split(), tasks.dataset(),
                          data_set.groups());
}

absl::Status CheckPadding(const v1::JobSpec& spec) {
  if (spec.tasks().grouped().small_groups() != v1::GroupedTasks::SMALL_GROUPS_PAD) {
    return absl::OkStatus();
  }
  if (UsesBatchStatistics(spec.model())) {
    return absl::InvalidArgumentError(
        "tasks.grouped.small_groups is SMALL_GROUPS_PAD, whose empty places batch norm would count "
        "in its statistics; choose a model without it, or SMALL_GROUPS_SKIP");
  }
  if (NeedsSecondSupport(spec.objective())) {
    return absl::InvalidArgumentError(
        "tasks.grouped.small_groups is SMALL_GROUPS_PAD, which may leave a contrastive term's "
        "second "
        "support set empty; choose SMALL_GROUPS_SKIP");
  }
  if (spec.algorithm().reptile().inner_batch() > 0) {
    return absl::InvalidArgumentError(
        "tasks.grouped.small_groups is SMALL_GROUPS_PAD, whose empty places "
        "algorithm.reptile.inner_batch would draw like examples; leave inner_batch out, or choose "
        "SMALL_GROUPS_SKIP");
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
