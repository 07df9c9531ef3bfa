// The checkpoints that adaptations used lately.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/jobs/adaptation_run.h"

namespace innerloop::server {

// Keeps a few, so that neither the coordinator reads nor workers are sent them for each call. Used
// under the coordinator's lock; thread-compatible.
class PinnedCheckpoints {
 public:
  // A checkpoint goes when it was not used for so long, or when it is one too many and was used
  // least recently.
  static constexpr absl::Duration kPatience = absl::Minutes(1);
  static constexpr size_t kMost = 8;

  using Pin = std::shared_ptr<const PinnedCheckpoint>;

  // Null when it is not here; else it counts as used.
  Pin Find(const std::string& reference, absl::Duration now);
  // The one of that reference which was here before, else this one.
  Pin Add(Pin pin, absl::Duration now);
  // Those that go now.
  std::vector<Pin> Expire(absl::Duration now);

 private:
  struct Kept {
    Pin pin;
    absl::Duration used;
  };
  // Last used first.
  std::list<Kept> kept_;
};

}  // namespace innerloop::server
