#include "core/meta/tasks/task_source.h"

#include <utility>

#include "core/meta/tasks/episodes.h"
#include "core/meta/tasks/grouped.h"
#include "core/meta/tasks/random_map.h"
#include "core/meta/tasks/sinusoid.h"

namespace innerloop::meta {

absl::StatusOr<std::unique_ptr<TaskSource>> CreateTaskSource(
    const v1::TaskSource& spec, std::shared_ptr<const Dataset> dataset) {
  switch (spec.kind_case()) {
    case v1::TaskSource::kSinusoid:
      return std::make_unique<SinusoidSource>(spec.sinusoid());
    case v1::TaskSource::kEpisodes:
      return EpisodeSource::Create(spec.episodes(), std::move(dataset));
    case v1::TaskSource::kRandomMap:
      return std::make_unique<RandomMapSource>(spec.random_map());
    case v1::TaskSource::kGrouped:
      return GroupedSource::Create(spec.grouped(), std::move(dataset));
    case v1::TaskSource::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "tasks is missing: choose sinusoid, random_map, episodes or grouped");
}

}  // namespace innerloop::meta
