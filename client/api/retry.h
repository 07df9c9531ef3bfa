// When a broken call is tried again.
#pragma once

#include <optional>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/api/cancellation.h"
#include "core/support/clock.h"

namespace innerloop::client {

// Waiting times that double from 50 ms to 2 s, each drawn from its upper half so that clients do
// not come back together. One thread only.
class Backoff {
 public:
  absl::Duration Next();
  void Reset() { next_ = kFirst; }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(50);
  absl::Duration next_ = kFirst;
  absl::BitGen random_;
};

// Decides, for one operation, whether a failed attempt is worth another. One thread only.
class Retry {
 public:
  // `patience`: how long the coordinator may be away before the operation fails.
  Retry(absl::Duration patience, const Clock& clock, Cancellation& cancellation);

  // After a failed attempt. OK: waited, try again. Otherwise the status that ends the operation:
  // the reason of a cancellation, or `status` when it is not UNAVAILABLE or patience has run out.
  absl::Status Again(const absl::Status& status);
  // The coordinator was there; patience starts anew.
  void Progress();

 private:
  const absl::Duration patience_;
  const Clock& clock_;
  Cancellation& cancellation_;
  Backoff backoff_;
  std::optional<absl::Duration> away_since_;
};

}  // namespace innerloop::client
