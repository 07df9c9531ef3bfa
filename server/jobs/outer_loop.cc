#include "server/jobs/outer_loop.h"

#include "core/support/status_macros.h"

namespace innerloop::server {

Parameters Encode(uint64_t version, FlatBuffer values) {
  Parameters result;
  result.version = version;
  result.values = std::make_shared<const FlatBuffer>(std::move(values));
  result.encoded = std::make_shared<const EncodedBuffer>(result.values);
  return result;
}

absl::StatusOr<std::unique_ptr<OuterLoop>> OuterLoop::Create(const v1::JobSpec& spec,
                                                             Checkpoint start, const Clock& clock) {
  std::unique_ptr<OuterLoop> loop(new OuterLoop(spec, clock));
  loop->layout_ = std::move(start.layout);
  INNERLOOP_ASSIGN_OR_RETURN(loop->optimizer_,
                             OuterOptimizer::Create(spec.outer_optimizer(), loop->layout_));
  if (start.metadata.optimizer_steps() > 0 || !start.optimizer_state.empty()) {
    INNERLOOP_RETURN_IF_ERROR(loop->optimizer_->Restore(start.metadata.optimizer_steps(),
                                                        std::move(start.optimizer_state)));
  }
  loop->parameters_ = Encode(start.metadata.iteration(), std::move(start.parameters));
  return loop;
}

void OuterLoop::Begin(size_t shards) {
  reducer_.Reset(shards);
  reduce_time_ = absl::ZeroDuration();
}

void OuterLoop::Add(size_t shard, FlatBuffer sum) {
  const absl::Duration begin = clock_.Monotonic();
  reducer_.Add(shard, std::move(sum));
  reduce_time_ += clock_.Monotonic() - begin;
}

StepOutcome OuterLoop::Step(uint64_t iterations) {
  const absl::Duration begin = clock_.Monotonic();
  FlatBuffer update = reducer_.Take();
  const auto tasks = static_cast<float>(spec_.meta_batch());
  for (float& value : update.values()) {
    value /= tasks;
  }
  StepOutcome outcome;
  outcome.finite = AllFinite(update.values());
  outcome.update_norm = UpdateNorm(layout_, update.values());
  const uint64_t iteration = parameters_.version;
  outcome.learning_rate = spec_.outer_optimizer().learning_rate() *
                          ScheduleFactor(spec_.outer_optimizer().schedule(), iteration, iterations);
  if (outcome.finite) {
    ClipUpdate(spec_.outer_optimizer(), layout_, update.values());
    // Streams may still be writing this version: the next one is another buffer.
    FlatBuffer next = parameters_.values->Clone();
    optimizer_->Step(outcome.learning_rate, update.values(), next.values());
    parameters_ = Encode(iteration + 1, std::move(next));
  } else {
    parameters_.version = iteration + 1;
  }
  outcome.parameters = parameters_;
  outcome.reduce_time = reduce_time_;
  outcome.step_time = clock_.Monotonic() - begin;
  return outcome;
}

Checkpoint OuterLoop::Capture() const {
  Checkpoint checkpoint;
  checkpoint.metadata.set_iteration(parameters_.version);
  checkpoint.metadata.set_optimizer_steps(optimizer_->steps());
  checkpoint.layout = layout_;
  checkpoint.parameters = parameters_.values->Clone();
  for (const auto& [name, slot] : optimizer_->slots()) {
    checkpoint.optimizer_state.emplace(name, slot->Clone());
  }
  return checkpoint;
}

}  // namespace innerloop::server
