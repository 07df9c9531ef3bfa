#include "server/service/adaptation_handles.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace innerloop::server {
namespace {

// From the system's generator: whoever knows a handle may predict with somebody's examples.
std::string NewHandle() {
  std::random_device random;
  std::string handle;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(&handle, absl::Hex(random(), absl::kZeroPad8));
  }
  return handle;
}

}  // namespace

AdaptationHandles::Kept AdaptationHandles::Add(AdaptationRecipe recipe) {
  Entry entry;
  entry.handle = NewHandle();
  entry.bytes = recipe.support.ByteSizeLong();
  entry.recipe = std::make_shared<const AdaptationRecipe>(std::move(recipe));
  entry.used = clock_.Monotonic();
  Kept kept{entry.handle, clock_.Now() + limits_.life};
  const absl::MutexLock lock(&mu_);
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  by_handle_[kept.handle] = entries_.begin();
  Expire();
  return kept;
}

std::shared_ptr<const AdaptationRecipe> AdaptationHandles::Use(const std::string& handle) {
  const absl::MutexLock lock(&mu_);
  Expire();
  const auto found = by_handle_.find(handle);
  if (found == by_handle_.end()) {
    return nullptr;
  }
  found->second->used = clock_.Monotonic();
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->recipe;
}

void AdaptationHandles::Expire() {
  const absl::Duration now = clock_.Monotonic();
  while (!entries_.empty() && (entries_.size() > limits_.recipes || bytes_ > limits_.bytes ||
                               now - entries_.back().used > limits_.life)) {
    bytes_ -= entries_.back().bytes;
    by_handle_.erase(entries_.back().handle);
    entries_.pop_back();
  }
}

}  // namespace innerloop::server
