#include "server/jobs/checkpoint_plan.h"

#include <cmath>
#include <utility>

#include "server/iteration/measures.h"

namespace innerloop::server {

void CheckpointPlan::Start(uint64_t version, double seconds, bool stored) {
  last_version_ = version;
  last_seconds_ = seconds;
  if (stored) {
    taken_ = version;
    stored_ = version;
  }
}

bool CheckpointPlan::Due(uint64_t version, double seconds) const {
  if (!idle()) {
    return false;
  }
  const uint64_t every = schedule_.every();
  return (every > 0 && version / every > last_version_ / every) ||
         seconds - last_seconds_ >= schedule_.every_seconds();
}

void CheckpointPlan::Taken(uint64_t version, double seconds) {
  taken_ = version;
  last_version_ = version;
  last_seconds_ = seconds;
}

void CheckpointPlan::Offer(Checkpoint checkpoint) { offered_ = std::move(checkpoint); }

void CheckpointPlan::Hold(Checkpoint checkpoint) {
  const uint64_t version = checkpoint.metadata.iteration();
  held_.insert_or_assign(version, std::move(checkpoint));
}

void CheckpointPlan::ForgetBest() {
  best_.reset();
  best_before_.reset();
  if (writing_.has_value()) {
    writing_->best_before.reset();
  }
}

void CheckpointPlan::EndEvaluation(const v1::Evaluation& evaluation, bool comparable) {
  const uint64_t version = evaluation.iteration();
  evaluating_.erase(version);
  auto held = held_.extract(version);
  const double goodness = Goodness(evaluation);
  // A version whose loss is no number is nobody's best.
  if (held.empty() || !comparable || !std::isfinite(goodness) ||
      (best_.has_value() && goodness <= *best_)) {
    return;
  }
  Checkpoint& checkpoint = held.mapped();
  const v1::StepMeasure& last = evaluation.steps(evaluation.steps_size() - 1);
  checkpoint.metadata.set_validation_loss(last.loss());
  if (last.has_accuracy()) {
    checkpoint.metadata.set_validation_accuracy(last.accuracy());
  }
  if (!best_ready_.has_value()) {
    best_before_ = best_;
  }
  best_ = goodness;
  if (offered_.has_value() && offered_->metadata.iteration() == version) {
    offered_.reset();
  }
  best_ready_ = std::move(checkpoint);
}

bool CheckpointPlan::GiveUpEvaluations() {
  const bool any = !held_.empty();
  if (any) {
    offered_ = std::move(held_.begin()->second);
  }
  held_.clear();
  evaluating_.clear();
  return any;
}

std::optional<CheckpointPlan::Write> CheckpointPlan::Next() {
  if (writing_.has_value()) {
    return std::nullopt;
  }
  // The best one is older than what is offered, or was evaluated while that waited: it goes first,
  // so that versions grow.
  if (best_ready_.has_value()) {
    Write write{*std::exchange(best_ready_, std::nullopt), /*best=*/true};
    writing_ = Writing{write.checkpoint.metadata.iteration(), best_before_, true};
    return write;
  }
  if (!offered_.has_value() ||
      (!evaluating_.empty() && *evaluating_.begin() < offered_->metadata.iteration())) {
    return std::nullopt;
  }
  Write write{*std::exchange(offered_, std::nullopt), /*best=*/false};
  writing_ = Writing{write.checkpoint.metadata.iteration(), std::nullopt, false};
  return write;
}

void CheckpointPlan::Written(bool ok) {
  const Writing written = *std::exchange(writing_, std::nullopt);
  if (ok) {
    stored_ = written.version;
    return;
  }
  if (taken_ == written.version) {
    taken_.reset();
  }
  if (written.best && !best_ready_.has_value()) {
    best_ = written.best_before;
  }
}

}  // namespace innerloop::server
