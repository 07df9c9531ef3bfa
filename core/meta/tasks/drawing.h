// What task sources share.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/meta/tasks/task_source.h"
#include "core/support/random.h"

namespace innerloop::meta {

// The stream of random numbers that task `task` is drawn from.
CounterRandom RandomOfTask(const TaskKey& key, uint64_t task);

// TaskSource::Check for sources without ways, whose tasks are called `kind`, e.g. "sinusoid".
absl::Status CheckOneWay(const TaskSizes& sizes, absl::string_view kind, absl::string_view field);

}  // namespace innerloop::meta
