#include "server/jobs/pinned_checkpoints.h"

#include <algorithm>
#include <utility>

namespace innerloop::server {

PinnedCheckpoints::Pin PinnedCheckpoints::Find(const std::string& reference, absl::Duration now) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.pin->reference == reference;
  });
  if (found == kept_.end()) {
    return nullptr;
  }
  found->used = now;
  kept_.splice(kept_.begin(), kept_, found);
  return found->pin;
}

PinnedCheckpoints::Pin PinnedCheckpoints::Add(Pin pin, absl::Duration now) {
  if (Pin before = Find(pin->reference, now); before != nullptr) {
    return before;
  }
  kept_.push_front({pin, now});
  return pin;
}

std::vector<PinnedCheckpoints::Pin> PinnedCheckpoints::Expire(absl::Duration now) {
  std::vector<Pin> gone;
  while (!kept_.empty() && (kept_.size() > kMost || now - kept_.back().used > kPatience)) {
    gone.push_back(std::move(kept_.back().pin));
    kept_.pop_back();
  }
  return gone;
}

}  // namespace innerloop::server
