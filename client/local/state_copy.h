// A state folder looked at without touching it.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace innerloop::client {

// Copies the database of the state folder `from`, which nobody serves now, to the folder `to`, and
// writes nothing to `from`: who may read it may copy it. INVALID_ARGUMENT when it is no state
// folder, FAILED_PRECONDITION while a coordinator has it.
absl::Status CopyState(const std::string& from, const std::string& to);

}  // namespace innerloop::client
