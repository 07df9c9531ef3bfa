#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace innerloop {

// Writes all of it at the descriptor's place, however often the system takes a part. Errors name
// the path and the system's reason.
absl::Status WriteAll(int descriptor, const std::string& path, absl::string_view data);

}  // namespace innerloop
