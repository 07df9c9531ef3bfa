// What a job's tensors will take, from a small part of its work.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace innerloop::meta {

// The most bytes that tensors take while `compute` has `tasks` tasks at once, from runs with one
// and with two of them: each further task takes what the second does. What `compute` throws passes
// through.
int64_t EstimatePeak(int64_t tasks, absl::FunctionRef<void(int64_t tasks)> compute);

}  // namespace innerloop::meta
