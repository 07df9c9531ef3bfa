// Checks of single fields, which all complain in the same words. Private to core/job.
#pragma once

#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace innerloop::job {

template <typename Number>
absl::Status InRange(absl::string_view field, Number value, Number low, Number high) {
  if (value >= low && value <= high) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, "; it must be ", low, " to ", high));
}

inline absl::Status Positive(absl::string_view field, double value) {
  if (value > 0 && std::isfinite(value)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; it must be above 0"));
}

inline absl::Status NotNegative(absl::string_view field, double value) {
  if (value >= 0 && std::isfinite(value)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; it must be at least 0"));
}

// For decay rates: 0 <= value < 1.
inline absl::Status BelowOne(absl::string_view field, double value) {
  if (value >= 0 && value < 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, "; it must be at least 0 and below 1"));
}

inline absl::Status Missing(absl::string_view field, absl::string_view choices) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is missing; choose ", choices));
}

// Enumerations: the default where nothing was said, an error for a number without a name.
template <typename Enum>
absl::Status OrDefault(absl::string_view field, Enum& value, Enum fallback, bool (*is_valid)(int)) {
  if (!is_valid(static_cast<int>(value))) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " has the unknown value ", static_cast<int>(value)));
  }
  if (static_cast<int>(value) == 0) {
    value = fallback;
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
