#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/job/task_view.h"
#include "core/job/usable_classes.h"
#include "core/support/counted.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr uint32_t kMaxExamples = 100'000;
constexpr uint32_t kMaxMapSide = 10'000;
constexpr uint64_t kMaxMapEntries = 10'000'000;

absl::Status ResolveRange(absl::string_view field, v1::Range& range, bool given, double low,
                          double high) {
  if (!given) {
    range.set_low(low);
    range.set_high(high);
  }
  if (!std::isfinite(range.low()) || !std::isfinite(range.high()) || range.low() > range.high()) {
    return absl::InvalidArgumentError(absl::StrCat(field, " is [", range.low(), ", ", range.high(),
                                                   "]; low must not be above high"));
  }
  return absl::OkStatus();
}

absl::Status ResolveSinusoid(v1::SinusoidTasks& tasks) {
  if (!tasks.has_shots()) {
    tasks.set_shots(10);
  }
  if (!tasks.has_queries()) {
    tasks.set_queries(tasks.shots());
  }
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.sinusoid.shots", tasks.shots(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.sinusoid.queries", tasks.queries(), 1U, kMaxExamples));
  const bool amplitude = tasks.has_amplitude();
  const bool phase = tasks.has_phase();
  const bool input = tasks.has_input();
  INNERLOOP_RETURN_IF_ERROR(
      ResolveRange("tasks.sinusoid.amplitude", *tasks.mutable_amplitude(), amplitude, 0.1, 5));
  INNERLOOP_RETURN_IF_ERROR(
      ResolveRange("tasks.sinusoid.phase", *tasks.mutable_phase(), phase, 0, kPi));
  return ResolveRange("tasks.sinusoid.input", *tasks.mutable_input(), input, -5, 5);
}

absl::Status ResolveRandomMap(v1::RandomMapTasks& tasks) {
  tasks.set_inputs(tasks.has_inputs() ? tasks.inputs() : 10);
  tasks.set_outputs(tasks.has_outputs() ? tasks.outputs() : 5);
  tasks.set_shots(tasks.has_shots() ? tasks.shots() : 10);
  tasks.set_queries(tasks.has_queries() ? tasks.queries() : tasks.shots());
  tasks.set_shared(tasks.has_shared() ? tasks.shared() : 0.5);
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.inputs", tasks.inputs(), 1U, kMaxMapSide));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.outputs", tasks.outputs(), 1U, kMaxMapSide));
  if (const uint64_t entries = uint64_t{tasks.inputs()} * tasks.outputs();
      entries > kMaxMapEntries) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.random_map.inputs times outputs is ",
                                                   entries, "; a map has at most ", kMaxMapEntries,
                                                   " entries"));
  }
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.shots", tasks.shots(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.queries", tasks.queries(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.shared", tasks.shared(), 0.0, 1.0));
  return NotNegative("tasks.random_map.noise", tasks.noise());
}

absl::Status ResolveEpisodes(v1::EpisodeTasks& tasks) {
  INNERLOOP_RETURN_IF_ERROR(
      CheckDataSetFields("tasks.episodes", tasks.dataset(), tasks.dataset_sha256()));
  if (!tasks.has_queries()) {
    tasks.set_queries(1);
  }
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.episodes.ways", tasks.ways(), 2U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.episodes.shots", tasks.shots(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.episodes.queries", tasks.queries(), 1U, kMaxExamples));
  v1::EpisodeTasks::Rotations rotations = tasks.rotations();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("tasks.episodes.rotations", rotations,
                                      v1::EpisodeTasks::ROTATIONS_NONE,
                                      v1::EpisodeTasks::Rotations_IsValid));
  tasks.set_rotations(rotations);
  return CheckSplit("tasks.episodes.split", "classes", tasks.split());
}

// The most examples that any class can have. Which classes are used, and how many examples each of
// them has, only the data itself tells.
uint64_t MostExamplesOfAClass(const v1::DataSetDescription& data_set) {
  const uint64_t others = (data_set.classes() - uint64_t{1}) * data_set.smallest_class();
  return data_set.examples() > others ? data_set.examples() - others : 0;
}

absl::Status CheckEpisodesAgainstDataSet(const v1::JobSpec& spec,
                                         const v1::DataSetDescription& data_set) {
  const v1::EpisodeTasks& tasks = spec.tasks().episodes();
  if (data_set.smallest_group() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes.dataset '", tasks.dataset(),
                     "' is sorted by group, not by class; take tasks.grouped"));
  }
  if (data_set.classes() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.episodes.dataset '", tasks.dataset(),
                                                   "' has no classes to draw episodes from"));
  }
  const auto rotations = static_cast<uint64_t>(RotationsPerClass(tasks, v1::SPLIT_TRAIN));
  if (tasks.ways() > rotations * data_set.classes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tasks.episodes.ways is ", tasks.ways(), "; the data set '", tasks.dataset(), "' has ",
        Counted(data_set.classes(), "class", "classes"),
        rotations > 1 ? absl::StrCat(", ", rotations, " times as many with their rotations") : ""));
  }
  const uint64_t shots = TrainingShots(spec);
  if (const uint64_t most = MostExamplesOfAClass(data_set); shots + tasks.queries() > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        "training takes ", Counted(shots, "shot"),
        NeedsSecondSupport(spec.objective()) ? " (two support sets, for the contrastive term)" : "",
        " and ", Counted(tasks.queries(), "query", "queries"), " per class; no class of '",
        tasks.dataset(), "' has more than ", Counted(most, "example")));
  }
  if (tasks.rotations() != v1::EpisodeTasks::ROTATIONS_NONE &&
      (data_set.example_shape_size() != 3 ||
       data_set.example_shape(0) != data_set.example_shape(1))) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes.rotations needs square images; '", tasks.dataset(),
                     "' has none: choose ROTATIONS_NONE"));
  }
  return CheckSplitCounts("tasks.episodes.split", "classes", tasks.split(), tasks.dataset(),
                          data_set.classes());
}

}  // namespace

absl::Status ResolveTasks(v1::TaskSource& tasks) {
  switch (tasks.kind_case()) {
    case v1::TaskSource::kSinusoid:
      return ResolveSinusoid(*tasks.mutable_sinusoid());
    case v1::TaskSource::kEpisodes:
      return ResolveEpisodes(*tasks.mutable_episodes());
    case v1::TaskSource::kRandomMap:
      return ResolveRandomMap(*tasks.mutable_random_map());
    case v1::TaskSource::kGrouped:
      return ResolveGrouped(*tasks.mutable_grouped());
    case v1::TaskSource::KIND_NOT_SET:
      break;
  }
  return Missing("tasks", "sinusoid, random_map, episodes or grouped");
}

absl::Status CheckAgainstDataSet(const v1::JobSpec& spec, const v1::DataSetDescription& data_set) {
  if (!UsesData(spec.tasks())) {
    return absl::OkStatus();
  }
  const DataUse use = DataUseOf(spec.tasks());
  if (!use.sha256->empty() && *use.sha256 != data_set.sha256()) {
    return absl::InvalidArgumentError(absl::StrCat(
        use.field, ".dataset_sha256 is ", use.sha256->substr(0, 12), "...; the data set '",
        *use.dataset, "' has ", data_set.sha256().substr(0, 12), "..."));
  }
  return spec.tasks().has_grouped() ? CheckGroupedAgainstDataSet(spec.tasks().grouped(), data_set)
                                    : CheckEpisodesAgainstDataSet(spec, data_set);
}

}  // namespace innerloop::job
