#include <algorithm>
#include <array>

#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr uint32_t kMaxExamples = 100'000;
constexpr uint32_t kMaxMapSide = 10'000;

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
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.shots", tasks.shots(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.queries", tasks.queries(), 1U, kMaxExamples));
  INNERLOOP_RETURN_IF_ERROR(InRange("tasks.random_map.shared", tasks.shared(), 0.0, 1.0));
  return NotNegative("tasks.random_map.noise", tasks.noise());
}

absl::Status CheckSplit(const v1::ClassSplit& split) {
  switch (split.by_case()) {
    case v1::ClassSplit::kCounts:
      return split.counts().train() > 0
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError(
                       "tasks.episodes.split.counts.train is 0; training needs classes");
    case v1::ClassSplit::kFractions: {
      const v1::ClassSplit::Fractions& parts = split.fractions();
      INNERLOOP_RETURN_IF_ERROR(
          InRange("tasks.episodes.split.fractions.train", parts.train(), 0.0, 1.0));
      INNERLOOP_RETURN_IF_ERROR(
          InRange("tasks.episodes.split.fractions.validation", parts.validation(), 0.0, 1.0));
      INNERLOOP_RETURN_IF_ERROR(
          InRange("tasks.episodes.split.fractions.test", parts.test(), 0.0, 1.0));
      if (parts.train() == 0) {
        return absl::InvalidArgumentError(
            "tasks.episodes.split.fractions.train is 0; training needs classes");
      }
      if (const double sum = parts.train() + parts.validation() + parts.test(); sum > 1 + 1e-9) {
        return absl::InvalidArgumentError(
            absl::StrCat("tasks.episodes.split.fractions add up to ", sum, "; at most 1"));
      }
      return absl::OkStatus();
    }
    case v1::ClassSplit::kNames:
      return split.names().train().empty()
                 ? absl::InvalidArgumentError(
                       "tasks.episodes.split.names.train is empty; training needs classes")
                 : absl::OkStatus();
    case v1::ClassSplit::kFiles:
      return absl::InvalidArgumentError(
          "tasks.episodes.split.files names files of the client's machine, which the client reads; "
          "send split.names");
    case v1::ClassSplit::kStored:
      return split.stored().empty()
                 ? absl::InvalidArgumentError("tasks.episodes.split.stored is empty; name a split")
                 : absl::OkStatus();
    case v1::ClassSplit::BY_NOT_SET:
      break;
  }
  return Missing("tasks.episodes.split", "counts, fractions, names, files or stored");
}

absl::Status ResolveEpisodes(v1::EpisodeTasks& tasks) {
  if (tasks.dataset().empty()) {
    return absl::InvalidArgumentError("tasks.episodes.dataset is missing; name a data set");
  }
  if (!tasks.dataset_sha256().empty() && !IsSha256Hex(tasks.dataset_sha256())) {
    return absl::InvalidArgumentError(
        "tasks.episodes.dataset_sha256 is no SHA-256; it has 64 lower-case hex digits");
  }
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
  return CheckSplit(tasks.split());
}

// Classes of each part, where the counts alone decide them; 0 for those that names decide.
std::array<uint64_t, 3> PartSizes(const v1::ClassSplit& split, uint64_t classes) {
  if (split.has_counts()) {
    const uint64_t taken = uint64_t{split.counts().train()} + split.counts().validation();
    const uint64_t rest = classes > taken ? classes - taken : 0;
    return {split.counts().train(), split.counts().validation(),
            split.counts().test() > 0 ? split.counts().test() : rest};
  }
  return {0, 0, 0};
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
    case v1::TaskSource::KIND_NOT_SET:
      break;
  }
  return Missing("tasks", "sinusoid or episodes");
}

absl::Status CheckAgainstDataSet(const v1::JobSpec& spec, const v1::DataSetDescription& data_set) {
  if (!spec.tasks().has_episodes()) {
    return absl::OkStatus();
  }
  const v1::EpisodeTasks& tasks = spec.tasks().episodes();
  if (!tasks.dataset_sha256().empty() && tasks.dataset_sha256() != data_set.sha256()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tasks.episodes.dataset_sha256 is ", tasks.dataset_sha256().substr(0, 12),
        "...; the data set '", tasks.dataset(), "' has ", data_set.sha256().substr(0, 12), "..."));
  }
  if (data_set.classes() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.episodes.dataset '", tasks.dataset(),
                                                   "' has no classes to draw episodes from"));
  }
  if (tasks.ways() > data_set.classes()) {
    return absl::InvalidArgumentError(absl::StrCat("tasks.episodes.ways is ", tasks.ways(),
                                                   "; the data set '", tasks.dataset(), "' has ",
                                                   data_set.classes(), " classes"));
  }
  if (const uint64_t wanted = uint64_t{tasks.shots()} + tasks.queries();
      wanted > data_set.smallest_class()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes asks for ", tasks.shots(), " shots and ", tasks.queries(),
                     " queries per class; the smallest class of '", tasks.dataset(), "' has ",
                     data_set.smallest_class(), " examples"));
  }
  if (tasks.rotations() != v1::EpisodeTasks::ROTATIONS_NONE &&
      (data_set.example_shape_size() != 3 ||
       data_set.example_shape(0) != data_set.example_shape(1))) {
    return absl::InvalidArgumentError(
        absl::StrCat("tasks.episodes.rotations needs square images; '", tasks.dataset(),
                     "' has none: choose ROTATIONS_NONE"));
  }
  if (tasks.split().has_counts()) {
    const auto [train, validation, test] = PartSizes(tasks.split(), data_set.classes());
    if (train + validation + test > data_set.classes()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tasks.episodes.split.counts adds up to ", train + validation + test,
                       " classes; '", tasks.dataset(), "' has ", data_set.classes()));
    }
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
