// The float work of one job: the sum of an iteration's shards and the outer step.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/checkpoint/checkpoint.h"
#include "core/rpc/batch_stream.h"
#include "core/support/clock.h"
#include "core/tensor/parameter_set.h"
#include "server/iteration/tree_reducer.h"
#include "server/outer/outer_optimizer.h"

namespace innerloop::server {

// A version of meta-parameters as it travels to workers. Immutable, shared by every stream it is
// written to.
struct Parameters {
  uint64_t version = 0;
  std::shared_ptr<const FlatBuffer> values;
  std::shared_ptr<const EncodedBuffer> encoded;
};
// Takes time for large ones: a checksum over all of it.
Parameters Encode(uint64_t version, FlatBuffer values);

// What an outer step came to.
struct StepOutcome {
  Parameters parameters;  // the next version
  bool finite = true;     // false: the parameters' values are those of the version before
  double update_norm = 0;
  double learning_rate = 0;
  absl::Duration reduce_time;
  absl::Duration step_time;
};

// Holds parameters, optimiser and sums. It has no lock: the coordinator lets one thread at a time
// work on it, outside of its own lock, so that a large model's float work holds up nobody else.
class OuterLoop {
 public:
  // From an initialisation, or from a checkpoint with its optimiser state. INVALID_ARGUMENT when
  // the state is not this optimiser's.
  static absl::StatusOr<std::unique_ptr<OuterLoop>> Create(const v1::JobSpec& spec,
                                                           Checkpoint start, const Clock& clock);

  const Layout& layout() const { return layout_; }
  const Parameters& parameters() const { return parameters_; }
  uint64_t steps() const { return optimizer_->steps(); }

  // Begins an iteration of `shards` shards.
  void Begin(size_t shards);
  // The sum of a shard's updates, each shard once.
  void Add(size_t shard, FlatBuffer sum);
  // Takes the outer step when all shards are in. `iterations` of the job, for the schedule.
  StepOutcome Step(uint64_t iterations);

  // A copy of parameters and optimiser state; of the metadata, iteration and optimizer_steps are
  // set.
  Checkpoint Capture() const;

 private:
  OuterLoop(v1::JobSpec spec, const Clock& clock) : spec_(std::move(spec)), clock_(clock) {}

  const v1::JobSpec spec_;
  const Clock& clock_;
  Layout layout_;
  Parameters parameters_;
  std::unique_ptr<OuterOptimizer> optimizer_;
  TreeReducer reducer_;
  absl::Duration reduce_time_;
};

}  // namespace innerloop::server
