// Times as people give them to flags.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace innerloop {

// "30d", or as Abseil has it: "12h", "1h30m", "0". INVALID_ARGUMENT for anything else and below 0.
absl::StatusOr<absl::Duration> ParseTimeSpan(absl::string_view text);

}  // namespace innerloop
