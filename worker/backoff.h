// How long to wait before the next attempt to connect.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/time/time.h"

namespace innerloop::worker {

// Doubles from `first` to `last`; each wait is drawn from the upper half of its bound, so that
// workers that lost the same coordinator do not come back at the same instant. Used by Worker and
// DataSetCache. One thread only.
class Backoff {
 public:
  // `uniform` gives numbers in [0, 1).
  Backoff(absl::Duration first, absl::Duration last, std::function<double()> uniform)
      : first_(first), last_(last), bound_(first), uniform_(std::move(uniform)) {}

  absl::Duration Next() {
    const absl::Duration bound = bound_;
    bound_ = std::min(bound_ * 2, last_);
    return bound * (0.5 + 0.5 * uniform_());
  }
  void Reset() { bound_ = first_; }

 private:
  const absl::Duration first_;
  const absl::Duration last_;
  absl::Duration bound_;
  const std::function<double()> uniform_;
};

}  // namespace innerloop::worker
