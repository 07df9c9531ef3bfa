// What a JobRunner asks its OuterLoop to do, and what came of it.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/jobs/outer_loop.h"

namespace innerloop::server {

// Done in the order of the fields.
struct FloatWork {
  // Begin with these parameters.
  std::optional<Checkpoint> start;
  // Copies of the present version: for the evaluation that begins, and for the checkpoint that is
  // due.
  bool capture_held = false;
  bool capture_offered = false;
  // A new iteration of so many shards; 0: none.
  size_t begin = 0;
  std::vector<std::pair<size_t, FlatBuffer>> add;
  bool step = false;
  uint64_t iterations = 0;

  bool empty() const {
    return !start.has_value() && !capture_held && !capture_offered && add.empty() && !step;
  }
};

struct FloatResult {
  std::optional<absl::StatusOr<std::unique_ptr<OuterLoop>>> started;
  std::optional<Checkpoint> held;
  std::optional<Checkpoint> offered;
  std::optional<StepOutcome> step;
};

// Runs without locks. `loop` is null until `start` was done.
FloatResult Do(FloatWork work, OuterLoop* loop, const v1::JobSpec& spec, const Clock& clock);

}  // namespace innerloop::server
