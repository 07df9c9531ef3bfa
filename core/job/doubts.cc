#include "core/job/doubts.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/job/task_view.h"
#include "core/job/usable_groups.h"
#include "core/support/counted.h"

namespace innerloop {
namespace {

void AboutObjective(const v1::JobSpec& spec, std::vector<std::string>& doubts) {
  const auto& terms = spec.objective().terms();
  if (terms.empty()) {
    return;
  }
  if (std::all_of(terms.begin(), terms.end(),
                  [](const auto& term) { return term.weight() == 0; })) {
    doubts.push_back(absl::StrCat(
        "objective.terms: ", terms.size() == 1 ? "its only term has" : "all terms have",
        " the weight 0, so that nothing is learned"));
  }
  const v1::OuterOptimizer& outer = spec.outer_optimizer();
  if (spec.algorithm().has_reptile() && outer.has_sgd() && outer.learning_rate() == 1) {
    doubts.emplace_back(
        "outer_optimizer.learning_rate is 1: that suits Reptile's own update, theta - theta'; with "
        "objective.terms the update is a gradient, for which 0.01 or less is usual");
  }
}

// As workers will find it.
void AboutSmallGroups(const v1::JobSpec& spec, const Dataset& dataset,
                      std::vector<std::string>& doubts) {
  const v1::GroupedTasks& tasks = spec.tasks().grouped();
  const absl::StatusOr<ClassLists> lists = ResolveSplit(dataset, tasks.split());
  if (!lists.ok()) {
    return;
  }
  const auto shots = static_cast<int64_t>(TrainingShots(spec));
  const absl::StatusOr<std::vector<uint32_t>> usable = UsableGroups(
      dataset, tasks, lists->train, v1::SPLIT_TRAIN, shots, tasks.queries(), "tasks.grouped");
  if (usable.ok() && usable->size() < lists->train.size()) {
    const bool pads = tasks.small_groups() == v1::GroupedTasks::SMALL_GROUPS_PAD;
    doubts.push_back(absl::StrCat(
        "tasks.grouped.small_groups leaves out ", lists->train.size() - usable->size(), " of ",
        Counted(lists->train.size(), "training group"), " of '", tasks.dataset(),
        "', which have fewer than ",
        pads ? "2 examples" : absl::StrCat(ShotsAndQueries(shots, tasks.queries()), " need")));
  }
}

}  // namespace

std::vector<std::string> DoubtsAbout(const v1::JobSpec& resolved, const Dataset* dataset) {
  std::vector<std::string> doubts;
  AboutObjective(resolved, doubts);
  if (resolved.tasks().has_grouped() && dataset != nullptr) {
    AboutSmallGroups(resolved, *dataset, doubts);
  }
  return doubts;
}

}  // namespace innerloop
