// The optimiser of the inner loop and its steps.
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr uint32_t kMaxInnerSteps = 10'000;

}  // namespace

absl::Status ResolveInner(absl::string_view field, v1::InnerOptimizer& inner) {
  if (inner.kind_case() == v1::InnerOptimizer::KIND_NOT_SET) {
    inner.mutable_sgd();
  }
  INNERLOOP_RETURN_IF_ERROR(NotNegative(absl::StrCat(field, ".proximal"), inner.proximal()));
  switch (inner.kind_case()) {
    case v1::InnerOptimizer::kSgd: {
      v1::InnerSgd& sgd = *inner.mutable_sgd();
      sgd.set_learning_rate(sgd.has_learning_rate() ? sgd.learning_rate() : 0.01);
      return Positive(absl::StrCat(field, ".sgd.learning_rate"), sgd.learning_rate());
    }
    case v1::InnerOptimizer::kMomentum: {
      v1::InnerMomentum& momentum = *inner.mutable_momentum();
      momentum.set_learning_rate(momentum.has_learning_rate() ? momentum.learning_rate() : 0.01);
      momentum.set_momentum(momentum.has_momentum() ? momentum.momentum() : 0.9);
      INNERLOOP_RETURN_IF_ERROR(
          Positive(absl::StrCat(field, ".momentum.learning_rate"), momentum.learning_rate()));
      return InRange(absl::StrCat(field, ".momentum.momentum"), momentum.momentum(), 0.0, 1.0);
    }
    case v1::InnerOptimizer::kAdam: {
      v1::InnerAdam& adam = *inner.mutable_adam();
      adam.set_learning_rate(adam.has_learning_rate() ? adam.learning_rate() : 0.001);
      adam.set_beta1(adam.has_beta1() ? adam.beta1() : 0);
      adam.set_beta2(adam.has_beta2() ? adam.beta2() : 0.999);
      adam.set_epsilon(adam.has_epsilon() ? adam.epsilon() : 1e-8);
      INNERLOOP_RETURN_IF_ERROR(
          Positive(absl::StrCat(field, ".adam.learning_rate"), adam.learning_rate()));
      INNERLOOP_RETURN_IF_ERROR(BelowOne(absl::StrCat(field, ".adam.beta1"), adam.beta1()));
      INNERLOOP_RETURN_IF_ERROR(BelowOne(absl::StrCat(field, ".adam.beta2"), adam.beta2()));
      return Positive(absl::StrCat(field, ".adam.epsilon"), adam.epsilon());
    }
    case v1::InnerOptimizer::KIND_NOT_SET:
      break;
  }
  return Missing(field, "sgd, momentum or adam");
}

absl::Status CheckInnerSteps(absl::string_view field, uint32_t steps) {
  if (steps == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " is missing or 0; it must be 1 to ", kMaxInnerSteps));
  }
  return InRange(field, steps, 1U, kMaxInnerSteps);
}

}  // namespace innerloop::job
