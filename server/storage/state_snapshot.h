// The state folder as it stood at one moment.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/archive/tar.h"

namespace innerloop::server {

// A copy of the database beside hard links to checkpoints, data sets and models, in
// STATE/snapshots, so that retention takes nothing away and nothing large is copied. Removed with
// the object. One thread only.
class StateSnapshot {
 public:
  // While the state stands still (Coordinator::HoldStill).
  static absl::StatusOr<std::unique_ptr<StateSnapshot>> Take(const std::string& state_dir);
  ~StateSnapshot();
  StateSnapshot(const StateSnapshot&) = delete;
  StateSnapshot& operator=(const StateSnapshot&) = delete;

  // As a backup (core/archive/backup.h).
  absl::Status Stream(TarSink sink) const;

  // What a coordinator that was killed left of them; before anybody takes one.
  static void RemoveAll(const std::string& state_dir);

 private:
  explicit StateSnapshot(std::string folder) : folder_(std::move(folder)) {}
  const std::string folder_;
};

}  // namespace innerloop::server
