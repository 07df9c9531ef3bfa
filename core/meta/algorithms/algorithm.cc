#include "core/meta/algorithms/algorithm.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/engine.h"
#include "core/meta/algorithms/lstm_meta_learner.h"
#include "core/meta/algorithms/maml.h"
#include "core/meta/algorithms/matching_networks.h"
#include "core/meta/algorithms/pretraining.h"
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
      return PretrainingAlgorithm::Create(resolved, shape);
    case v1::Algorithm::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("algorithm is missing (is the job resolved?)");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Algorithm>> CreateAlgorithm(const v1::JobSpec& resolved,
                                                           const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Algorithm> algorithm,
                             CreateByAutograd(resolved, shape));
  if (resolved.compute().engine() != v1::ComputeSpec::ENGINE_FUSED) {
    return algorithm;
  }
  if (const std::string why_not = WhyNotFused(resolved); !why_not.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "compute.engine is ENGINE_FUSED, which does not know ", why_not, "; take ENGINE_AUTOGRAD"));
  }
  return CreateFusedMaml(resolved, std::move(algorithm));
}

}  // namespace innerloop::meta
