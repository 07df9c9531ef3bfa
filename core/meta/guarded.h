// Where exceptions end.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace innerloop::meta {

// Runs `compute` and turns what it throws into a status of one line, which begins with `what`:
// RESOURCE_EXHAUSTED for memory, INTERNAL for the rest.
absl::Status Guarded(absl::string_view what, absl::FunctionRef<void()> compute);

}  // namespace innerloop::meta
