// Whether a data set has the classes that episodes are drawn from.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/dataset/dataset.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Classes of a task that each class of this part of the split counts for: 4 when its rotations are
// classes of their own, else 1.
int RotationsPerClass(const v1::EpisodeTasks& tasks, v1::Split split);

// Whether `classes` (by index), a part of the split, are enough for tasks of these sizes, within
// one group where the job wants that, and each of them has enough examples. INVALID_ARGUMENT,
// which begins with `field`, names the number of classes or the class with the fewest examples.
absl::Status CheckClasses(const Dataset& dataset, const v1::EpisodeTasks& tasks,
                          const std::vector<uint32_t>& classes, v1::Split split, int64_t ways,
                          int64_t shots, int64_t queries, absl::string_view field);

}  // namespace innerloop
