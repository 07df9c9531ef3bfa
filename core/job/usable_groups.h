// From which groups of a data set tasks can be drawn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/dataset/dataset.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Those of the groups of a part of the split (by index) that have enough examples for tasks of
// these sizes, or that the job keeps nonetheless. INVALID_ARGUMENT, which begins with `field`, when
// none is left, or when the job refuses small groups: counts them and names the first.
absl::StatusOr<std::vector<uint32_t>> UsableGroups(const Dataset& dataset,
                                                   const v1::GroupedTasks& tasks,
                                                   const std::vector<uint32_t>& groups,
                                                   v1::Split split, int64_t shots, int64_t queries,
                                                   absl::string_view field);

// Says in the program's log how many of `all` training groups are left out, if any.
void LogLeftOut(const v1::GroupedTasks& tasks, size_t all, size_t usable);

}  // namespace innerloop
