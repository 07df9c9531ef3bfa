// Early return on errors, for functions that return absl::Status or absl::StatusOr. (Debian's
// Abseil has no such macros.)
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define INNERLOOP_CONCAT_INNER(a, b) a##b
#define INNERLOOP_CONCAT(a, b) INNERLOOP_CONCAT_INNER(a, b)

// Returns the status of `expression` unless it is OK.
#define INNERLOOP_RETURN_IF_ERROR(expression)                                     \
  do {                                                                            \
    if (::absl::Status innerloop_status = (expression); !innerloop_status.ok()) { \
      return innerloop_status;                                                    \
    }                                                                             \
  } while (false)

// Assigns the value of the StatusOr `expression` to `target` (which may declare a variable), or
// returns its status.
#define INNERLOOP_ASSIGN_OR_RETURN(target, expression) \
  INNERLOOP_ASSIGN_OR_RETURN_INNER(INNERLOOP_CONCAT(innerloop_or_, __LINE__), target, expression)

// `holder` and `target` stand where no parentheses may.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define INNERLOOP_ASSIGN_OR_RETURN_INNER(holder, target, expression) \
  auto holder = (expression);                                        \
  if (!holder.ok()) {                                                \
    return std::move(holder).status();                               \
  }                                                                  \
  target = *std::move(holder)
// NOLINTEND(bugprone-macro-parentheses)
