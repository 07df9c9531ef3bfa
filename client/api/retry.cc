#include "client/api/retry.h"

#include <algorithm>

namespace innerloop::client {

absl::Duration Backoff::Next() {
  const absl::Duration wait = next_;
  next_ = std::min(next_ * 2, absl::Seconds(2));
  return wait * absl::Uniform(random_, 0.5, 1.0);
}

Retry::Retry(absl::Duration patience, const Clock& clock, Cancellation& cancellation)
    : patience_(patience), clock_(clock), cancellation_(cancellation) {}

absl::Status Retry::Again(const absl::Status& status) {
  if (absl::Status why = cancellation_.status(); !why.ok()) {
    return why;
  }
  if (!absl::IsUnavailable(status)) {
    return status;
  }
  const absl::Duration now = clock_.Monotonic();
  if (!away_since_) {
    away_since_ = now;
  }
  if (now - *away_since_ >= patience_) {
    return status;
  }
  return cancellation_.Sleep(backoff_.Next());
}

void Retry::Progress() {
  away_since_.reset();
  backoff_.Reset();
}

}  // namespace innerloop::client
