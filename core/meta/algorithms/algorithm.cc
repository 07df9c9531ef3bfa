#include "core/meta/algorithms/algorithm.h"

#include <utility>

#include "core/meta/algorithms/lstm_meta_learner.h"
#include "core/meta/algorithms/maml.h"
#include "core/meta/algorithms/matching_networks.h"
#include "core/meta/algorithms/prototypical_networks.h"
#include "core/meta/algorithms/reptile.h"
#include "core/meta/fused/fused_maml.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

absl::StatusOr<std::unique_ptr<Algorithm>> CreateByAutograd(const v1::JobSpec& resolved,
                                                            const TaskShape& shape) {
  switch (resolved.algorithm().kind_case()) {
    case v1::Algorithm::kMaml:
      return MamlAlgorithm::Create(resolved, shape);
    case v1::Algorithm::kReptile:
      return ReptileAlgorithm::Create(resolved, shape);
    case v1::Algorithm::kLstmMetaLearner:
      return LstmMetaLearner::Create(resolved, shape);
    case v1::Algorithm::kMatchingNetworks:
      return MatchingNetworks::Create(resolved, shape);
    case v1::Algorithm::kPrototypicalNetworks:
      return PrototypicalNetworks::Create(resolved, shape);
    case v1::Algorithm::kPretraining:
    case v1::Algorithm::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "algorithm is missing: set algorithm.maml or algorithm.reptile");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Algorithm>> CreateAlgorithm(const v1::JobSpec& resolved,
                                                           const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Algorithm> algorithm,
                             CreateByAutograd(resolved, shape));
  if (resolved.compute().engine() != v1::ComputeSpec::ENGINE_FUSED) {
    return algorithm;
  }
  if (!FusedSupports(resolved)) {
    return absl::InvalidArgumentError(
        "compute.engine is ENGINE_FUSED, which computes algorithm.maml with inner SGD for linear "
        "and mlp models without batch norm; take ENGINE_AUTOGRAD for this job");
  }
  return CreateFusedMaml(resolved, std::move(algorithm));
}

}  // namespace innerloop::meta
