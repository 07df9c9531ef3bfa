#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr uint32_t kMaxInnerSteps = 10'000;

absl::Status ResolveInner(absl::string_view field, v1::InnerOptimizer& inner) {
  if (inner.kind_case() == v1::InnerOptimizer::KIND_NOT_SET) {
    inner.mutable_sgd();
  }
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

absl::Status ResolveMaml(v1::Maml& maml) {
  v1::Maml::Order order = maml.order();
  INNERLOOP_RETURN_IF_ERROR(
      OrDefault("algorithm.maml.order", order, v1::Maml::ORDER_SECOND, v1::Maml::Order_IsValid));
  maml.set_order(order);
  INNERLOOP_RETURN_IF_ERROR(CheckInnerSteps("algorithm.maml.inner_steps", maml.inner_steps()));
  INNERLOOP_RETURN_IF_ERROR(
      ResolveInner("algorithm.maml.inner_optimizer", *maml.mutable_inner_optimizer()));
  if (order == v1::Maml::ORDER_HVP && !maml.inner_optimizer().has_sgd()) {
    return absl::InvalidArgumentError(
        "algorithm.maml.order is ORDER_HVP, which needs inner_optimizer.sgd; choose it, or "
        "ORDER_SECOND");
  }
  return absl::OkStatus();
}

absl::Status ResolveReptile(v1::Reptile& reptile, const v1::TaskSource& tasks) {
  INNERLOOP_RETURN_IF_ERROR(
      CheckInnerSteps("algorithm.reptile.inner_steps", reptile.inner_steps()));
  INNERLOOP_RETURN_IF_ERROR(
      InRange("algorithm.reptile.train_shots", reptile.train_shots(), 0U, 100'000U));
  const uint64_t shots = reptile.train_shots() > 0 ? reptile.train_shots()
                         : tasks.has_episodes()    ? tasks.episodes().shots()
                                                   : tasks.sinusoid().shots();
  const uint64_t examples = shots * (tasks.has_episodes() ? tasks.episodes().ways() : 1);
  if (reptile.inner_batch() > examples) {
    return absl::InvalidArgumentError(absl::StrCat("algorithm.reptile.inner_batch is ",
                                                   reptile.inner_batch(), "; a task has ", examples,
                                                   " training examples"));
  }
  return ResolveInner("algorithm.reptile.inner_optimizer", *reptile.mutable_inner_optimizer());
}

}  // namespace

absl::Status ResolveAlgorithm(v1::Algorithm& algorithm, const v1::TaskSource& tasks) {
  switch (algorithm.kind_case()) {
    case v1::Algorithm::kMaml:
      return ResolveMaml(*algorithm.mutable_maml());
    case v1::Algorithm::kReptile:
      return ResolveReptile(*algorithm.mutable_reptile(), tasks);
    case v1::Algorithm::KIND_NOT_SET:
      break;
  }
  return Missing("algorithm", "maml or reptile");
}

}  // namespace innerloop::job
