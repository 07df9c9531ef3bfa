// What a job's tensors will take, from a small part of its work.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace innerloop::meta {

// The most bytes that tensors take while `compute` has `tasks` tasks at once. Up to about 256 MiB
// it is tried; above, runs with two and with three tasks tell: each further task takes what the
// third does, or somewhat more (scratch memory that tasks use in turns hides the rest from the two
// runs). What `compute` throws passes through.
int64_t EstimatePeak(int64_t tasks, absl::FunctionRef<void(int64_t tasks)> compute);

}  // namespace innerloop::meta
