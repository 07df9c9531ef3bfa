// What adaptations that callers may come back to were made from.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/adaptation.pb.h"

namespace innerloop::server {

// Enough to adapt again, which takes milliseconds: so nothing is lost with a worker.
struct AdaptationRecipe {
  // "JOB@ITERATION".
  std::string checkpoint;
  v1::SupportSet support;
  // Resolved.
  v1::AdaptationRule rule;
};

// Keeps recipes under names that cannot be guessed. One goes an hour after its last use; when there
// are too many, or too large ones, those that were used least recently go first. Thread-safe.
class AdaptationHandles {
 public:
  struct Limits {
    size_t recipes = 1000;
    size_t bytes = size_t{256} << 20;
    absl::Duration life = absl::Hours(1);
  };
  AdaptationHandles(const Clock& clock, Limits limits) : clock_(clock), limits_(limits) {}
  explicit AdaptationHandles(const Clock& clock) : AdaptationHandles(clock, Limits()) {}

  struct Kept {
    // 32 hex digits.
    std::string handle;
    absl::Time expires;
  };
  Kept Add(AdaptationRecipe recipe);
  // Null when there is none of that name (any more); else puts its end off.
  std::shared_ptr<const AdaptationRecipe> Use(const std::string& handle);

 private:
  struct Entry {
    std::string handle;
    std::shared_ptr<const AdaptationRecipe> recipe;
    size_t bytes = 0;
    absl::Duration used;
  };
  void Expire() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock& clock_;
  const Limits limits_;

  absl::Mutex mu_;
  // Last used first.
  std::list<Entry> entries_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_handle_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace innerloop::server
