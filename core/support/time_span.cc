#include "core/support/time_span.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace innerloop {

absl::StatusOr<absl::Duration> ParseTimeSpan(absl::string_view text) {
  absl::string_view number = text;
  uint32_t days = 0;
  if (absl::ConsumeSuffix(&number, "d") && absl::SimpleAtoi(number, &days)) {
    return absl::Hours(24) * days;
  }
  absl::Duration span;
  if (!absl::ParseDuration(text, &span) || span < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is no time; one would be 30d, 12h or 10s"));
  }
  return span;
}

}  // namespace innerloop
