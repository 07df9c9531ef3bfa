#include "core/job/task_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/support/counted.h"

namespace innerloop {

bool UsesData(const v1::TaskSource& tasks) { return tasks.has_episodes() || tasks.has_grouped(); }

DataUse DataUseOf(const v1::EpisodeTasks& tasks) {
  return {"tasks.episodes", &tasks.dataset(), &tasks.dataset_sha256(), &tasks.split(),
          /*by_group=*/false};
}

DataUse DataUseOf(const v1::GroupedTasks& tasks) {
  return {"tasks.grouped", &tasks.dataset(), &tasks.dataset_sha256(), &tasks.split(),
          /*by_group=*/true};
}

DataUse DataUseOf(const v1::TaskSource& tasks) {
  return tasks.has_grouped() ? DataUseOf(tasks.grouped()) : DataUseOf(tasks.episodes());
}

void SetDataSetSha256(v1::TaskSource& tasks, const std::string& sha256) {
  if (tasks.has_episodes()) {
    tasks.mutable_episodes()->set_dataset_sha256(sha256);
  } else if (tasks.has_grouped()) {
    tasks.mutable_grouped()->set_dataset_sha256(sha256);
  }
}

v1::ClassSplit* MutableSplitOf(v1::TaskSource& tasks) {
  switch (tasks.kind_case()) {
    case v1::TaskSource::kEpisodes:
      return tasks.mutable_episodes()->mutable_split();
    case v1::TaskSource::kGrouped:
      return tasks.mutable_grouped()->mutable_split();
    case v1::TaskSource::kSinusoid:
    case v1::TaskSource::kRandomMap:
    case v1::TaskSource::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

TaskCounts CountsOf(const v1::TaskSource& tasks) {
  const auto per_task = [](const auto& source) {
    return TaskCounts{.ways = 1, .shots = source.shots(), .queries = source.queries()};
  };
  switch (tasks.kind_case()) {
    case v1::TaskSource::kEpisodes:
      return {.ways = tasks.episodes().ways(),
              .shots = tasks.episodes().shots(),
              .queries = tasks.episodes().queries()};
    case v1::TaskSource::kGrouped:
      return per_task(tasks.grouped());
    case v1::TaskSource::kSinusoid:
      return per_task(tasks.sinusoid());
    case v1::TaskSource::kRandomMap:
      return per_task(tasks.random_map());
    case v1::TaskSource::KIND_NOT_SET:
      break;
  }
  return {};
}

absl::string_view FieldOf(const v1::TaskSource& tasks) {
  switch (tasks.kind_case()) {
    case v1::TaskSource::kEpisodes:
    case v1::TaskSource::kGrouped:
      return DataUseOf(tasks).field;
    case v1::TaskSource::kRandomMap:
      return "tasks.random_map";
    case v1::TaskSource::kSinusoid:
      return "tasks.sinusoid";
    case v1::TaskSource::KIND_NOT_SET:
      break;
  }
  return "tasks";
}

bool NeedsSecondSupport(const v1::MetaObjective& objective) {
  return std::any_of(objective.terms().begin(), objective.terms().end(),
                     [](const v1::ObjectiveTerm& term) { return term.has_contrastive(); });
}

uint64_t TrainingShots(const v1::JobSpec& spec) {
  const uint32_t own = spec.algorithm().reptile().train_shots();
  const uint64_t shots = own > 0 ? own : CountsOf(spec.tasks()).shots;
  return NeedsSecondSupport(spec.objective()) ? 2 * shots : shots;
}

std::string ShotsAndQueries(int64_t shots, int64_t queries) {
  return absl::StrCat(Counted(static_cast<uint64_t>(shots), "shot"), " and ",
                      Counted(static_cast<uint64_t>(queries), "query", "queries"));
}

absl::string_view SplitName(v1::Split split) {
  switch (split) {
    case v1::SPLIT_TRAIN:
      return "training";
    case v1::SPLIT_VALIDATION:
      return "validation";
    default:
      return "test";
  }
}

}  // namespace innerloop
