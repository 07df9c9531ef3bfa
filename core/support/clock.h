// Time as an injected dependency, so that tests need not wait.
#pragma once

#include "absl/time/time.h"

namespace innerloop {

// Tells the time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time, for what people read and for records.
  virtual absl::Time Now() const = 0;
  // Time since some fixed moment, never going back, for measuring and deadlines.
  virtual absl::Duration Monotonic() const = 0;

  // The machine's clock; lives as long as the process.
  static const Clock& Real();
};

}  // namespace innerloop
