#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

// Adam's and AdamW's shared fields.
absl::Status ResolveMoments(absl::string_view field, auto& adam) {
  adam.set_beta1(adam.has_beta1() ? adam.beta1() : 0.9);
  adam.set_beta2(adam.has_beta2() ? adam.beta2() : 0.999);
  adam.set_epsilon(adam.has_epsilon() ? adam.epsilon() : 1e-8);
  INNERLOOP_RETURN_IF_ERROR(BelowOne(absl::StrCat(field, ".beta1"), adam.beta1()));
  INNERLOOP_RETURN_IF_ERROR(BelowOne(absl::StrCat(field, ".beta2"), adam.beta2()));
  return Positive(absl::StrCat(field, ".epsilon"), adam.epsilon());
}

absl::Status ResolveSchedule(v1::LearningRateSchedule& schedule) {
  switch (schedule.kind_case()) {
    case v1::LearningRateSchedule::kConstant:
      return absl::OkStatus();
    case v1::LearningRateSchedule::kLinear:
      return NotNegative("outer_optimizer.schedule.linear.end", schedule.linear().end());
    case v1::LearningRateSchedule::kCosine:
      return NotNegative("outer_optimizer.schedule.cosine.end", schedule.cosine().end());
    case v1::LearningRateSchedule::kStep: {
      v1::LearningRateSchedule::Step& step = *schedule.mutable_step();
      step.set_factor(step.has_factor() ? step.factor() : 0.5);
      if (step.every() == 0) {
        return absl::InvalidArgumentError(
            "outer_optimizer.schedule.step.every is missing or 0; it must be at least 1");
      }
      return InRange("outer_optimizer.schedule.step.factor", step.factor(), 0.0, 1.0);
    }
    case v1::LearningRateSchedule::KIND_NOT_SET:
      schedule.mutable_constant();
      return absl::OkStatus();
  }
  return absl::InternalError("unknown schedule");
}

}  // namespace

absl::Status ResolveOuterOptimizer(v1::OuterOptimizer& optimizer) {
  if (optimizer.kind_case() == v1::OuterOptimizer::KIND_NOT_SET) {
    optimizer.mutable_adam();
  }
  switch (optimizer.kind_case()) {
    case v1::OuterOptimizer::kSgd:
      INNERLOOP_RETURN_IF_ERROR(
          BelowOne("outer_optimizer.sgd.momentum", optimizer.sgd().momentum()));
      if (optimizer.sgd().nesterov() && optimizer.sgd().momentum() == 0) {
        return absl::InvalidArgumentError("outer_optimizer.sgd.nesterov needs a momentum above 0");
      }
      break;
    case v1::OuterOptimizer::kAdam:
      INNERLOOP_RETURN_IF_ERROR(ResolveMoments("outer_optimizer.adam", *optimizer.mutable_adam()));
      break;
    case v1::OuterOptimizer::kAdamw: {
      v1::OuterAdamW& adamw = *optimizer.mutable_adamw();
      INNERLOOP_RETURN_IF_ERROR(ResolveMoments("outer_optimizer.adamw", adamw));
      adamw.set_weight_decay(adamw.has_weight_decay() ? adamw.weight_decay() : 0.01);
      INNERLOOP_RETURN_IF_ERROR(
          NotNegative("outer_optimizer.adamw.weight_decay", adamw.weight_decay()));
      break;
    }
    case v1::OuterOptimizer::kRmsprop: {
      v1::OuterRmsProp& rmsprop = *optimizer.mutable_rmsprop();
      rmsprop.set_decay(rmsprop.has_decay() ? rmsprop.decay() : 0.99);
      rmsprop.set_epsilon(rmsprop.has_epsilon() ? rmsprop.epsilon() : 1e-8);
      INNERLOOP_RETURN_IF_ERROR(BelowOne("outer_optimizer.rmsprop.decay", rmsprop.decay()));
      INNERLOOP_RETURN_IF_ERROR(Positive("outer_optimizer.rmsprop.epsilon", rmsprop.epsilon()));
      break;
    }
    case v1::OuterOptimizer::KIND_NOT_SET:
      break;
  }
  optimizer.set_learning_rate(optimizer.has_learning_rate() ? optimizer.learning_rate() : 0.001);
  INNERLOOP_RETURN_IF_ERROR(Positive("outer_optimizer.learning_rate", optimizer.learning_rate()));
  INNERLOOP_RETURN_IF_ERROR(NotNegative("outer_optimizer.clip_norm", optimizer.clip_norm()));
  INNERLOOP_RETURN_IF_ERROR(NotNegative("outer_optimizer.clip_value", optimizer.clip_value()));
  return ResolveSchedule(*optimizer.mutable_schedule());
}

}  // namespace innerloop::job
