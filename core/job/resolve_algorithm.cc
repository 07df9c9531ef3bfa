#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/job/task_view.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

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
  const TaskCounts counts = CountsOf(tasks);
  const uint64_t shots = reptile.train_shots() > 0 ? reptile.train_shots() : counts.shots;
  const uint64_t examples = shots * counts.ways;
  if (reptile.inner_batch() > examples) {
    return absl::InvalidArgumentError(absl::StrCat("algorithm.reptile.inner_batch is ",
                                                   reptile.inner_batch(), "; a task has ", examples,
                                                   " training examples"));
  }
  return ResolveInner("algorithm.reptile.inner_optimizer", *reptile.mutable_inner_optimizer());
}

}  // namespace

absl::Status CheckTrainingShots(const v1::JobSpec& spec) {
  const v1::Algorithm& algorithm = spec.algorithm();
  const bool adapts =
      algorithm.has_maml() || algorithm.has_reptile() || algorithm.has_lstm_meta_learner();
  // A convolution's batch norm sees the places of an image.
  if (!adapts || !spec.model().mlp().batch_norm()) {
    return absl::OkStatus();
  }
  const TaskCounts counts = CountsOf(spec.tasks());
  const uint32_t own = algorithm.reptile().train_shots();
  if (uint64_t{own > 0 ? own : counts.shots} * counts.ways > 1) {
    return absl::OkStatus();
  }
  return OneExample(own > 0 ? "algorithm.reptile.train_shots"
                            : absl::StrCat(FieldOf(spec.tasks()), ".shots"));
}

absl::Status ResolveAlgorithm(v1::Algorithm& algorithm, const v1::TaskSource& tasks) {
  switch (algorithm.kind_case()) {
    case v1::Algorithm::kMaml:
      return ResolveMaml(*algorithm.mutable_maml());
    case v1::Algorithm::kReptile:
      return ResolveReptile(*algorithm.mutable_reptile(), tasks);
    case v1::Algorithm::kLstmMetaLearner:
      return ResolveLstmMetaLearner(*algorithm.mutable_lstm_meta_learner());
    case v1::Algorithm::kMatchingNetworks:
      return ResolveMatchingNetworks(*algorithm.mutable_matching_networks());
    case v1::Algorithm::kPrototypicalNetworks:
      return ResolvePrototypicalNetworks(*algorithm.mutable_prototypical_networks());
    case v1::Algorithm::kPretraining:
      return ResolveInner("algorithm.pretraining.inner_optimizer",
                          *algorithm.mutable_pretraining()->mutable_inner_optimizer());
    case v1::Algorithm::KIND_NOT_SET:
      break;
  }
  return Missing("algorithm",
                 "maml, reptile, matching_networks, prototypical_networks, lstm_meta_learner or "
                 "pretraining");
}

}  // namespace innerloop::job
