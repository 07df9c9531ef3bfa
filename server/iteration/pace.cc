#include "server/iteration/pace.h"

#include <algorithm>

namespace innerloop::server {
namespace {

constexpr size_t kRemembered = 64;
// Below it a copy costs more than it can save.
constexpr absl::Duration kFloor = absl::Milliseconds(100);

}  // namespace

void Pace::Add(absl::Duration took) {
  if (recent_.size() < kRemembered) {
    recent_.push_back(took);
    return;
  }
  recent_[next_] = took;
  next_ = (next_ + 1) % kRemembered;
}

std::optional<absl::Duration> Pace::SlowAfter() const {
  if (recent_.empty()) {
    return std::nullopt;
  }
  std::vector<absl::Duration> sorted = recent_;
  const auto middle = sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return 3 * *middle + kFloor;
}

}  // namespace innerloop::server
