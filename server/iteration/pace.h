// How long a job's shards take.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace innerloop::server {

// Remembers the last finished shards, of this and earlier iterations, and says from when on one is
// slow. Thread-compatible.
class Pace {
 public:
  void Add(absl::Duration took);
  // Three times the median and a tenth of a second; nullopt before the first shard has finished.
  std::optional<absl::Duration> SlowAfter() const;

 private:
  std::vector<absl::Duration> recent_;
  size_t next_ = 0;
};

}  // namespace innerloop::server
