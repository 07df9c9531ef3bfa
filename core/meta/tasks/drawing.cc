#include "core/meta/tasks/drawing.h"

#include "absl/strings/str_cat.h"

namespace innerloop::meta {

CounterRandom RandomOfTask(const TaskKey& key, uint64_t task) {
  return {key.seed, RandomPurpose::kTask, static_cast<uint32_t>(key.split), key.iteration,
          static_cast<uint32_t>(task)};
}

absl::Status CheckOneWay(const TaskSizes& sizes, absl::string_view kind, absl::string_view field) {
  if (sizes.ways != 1 || sizes.shots < 1 || sizes.queries < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, " asks for ", sizes.ways, " ways, ", sizes.shots, " shots and ", sizes.queries,
        " queries; ", kind, " tasks have 1 way and at least 1 of both"));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::meta
