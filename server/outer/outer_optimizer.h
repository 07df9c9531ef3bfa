// The outer step on flat float buffers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/parameter_set.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::server {

// Factor of the schedule at `iteration` of `iterations`, times the warm-up's.
double ScheduleFactor(const v1::LearningRateSchedule& schedule, uint64_t iteration,
                      uint64_t iterations);

// Euclidean norm over the layout's OPTIMISED tensors, accumulated in double in a fixed order.
double UpdateNorm(const Layout& layout, absl::Span<const float> update);
// Clips the OPTIMISED tensors in place by value, then by norm, as the spec has it.
void ClipUpdate(const v1::OuterOptimizer& spec, const Layout& layout, absl::Span<float> update);

// Gives the same bits whatever the machine: plain float32 arithmetic in a fixed order, without
// fused multiply-add. One thread only.
class OuterOptimizer {
 public:
  // `resolved` has every default filled in. Takes memory for its slots.
  static absl::StatusOr<std::unique_ptr<OuterOptimizer>> Create(const v1::OuterOptimizer& resolved,
                                                                const Layout& layout);
  virtual ~OuterOptimizer() = default;

  // parameters -= step(update), with learning rate `learning_rate` times each tensor's multiplier,
  // then clamps to bounds. `update` is the mean over tasks, clipped. AVERAGED tensors take the
  // update's values; FIXED ones stay.
  virtual void Step(double learning_rate, absl::Span<const float> update,
                    absl::Span<float> parameters) = 0;
  // Steps taken (Adam's t).
  virtual uint64_t steps() const = 0;
  // Slots by name, borrowed, each of the layout's flat size.
  virtual std::map<std::string, const FlatBuffer*> slots() const = 0;
  // INVALID_ARGUMENT when the slots' names or sizes are not this optimiser's.
  virtual absl::Status Restore(uint64_t steps, std::map<std::string, FlatBuffer> slots) = 0;
};

}  // namespace innerloop::server
