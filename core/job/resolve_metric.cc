// Methods that compare embeddings.
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr uint32_t kMaxEmbedding = 65536;
constexpr uint32_t kMaxReadSteps = 100;

// The embedding's size and the name of the algorithm's field.
struct Metric {
  absl::string_view field;
  uint32_t embedding_size;
};

Metric MetricOf(const v1::Algorithm& algorithm) {
  return algorithm.has_matching_networks()
             ? Metric{"algorithm.matching_networks", algorithm.matching_networks().embedding_size()}
             : Metric{"algorithm.prototypical_networks",
                      algorithm.prototypical_networks().embedding_size()};
}

bool HasHiddenLayers(const v1::ModelSpec& model) {
  return !model.has_linear() && !(model.has_mlp() && model.mlp().hidden().empty());
}

}  // namespace

bool IsMetric(const v1::Algorithm& algorithm) {
  return algorithm.has_matching_networks() || algorithm.has_prototypical_networks();
}

absl::Status ResolveMatchingNetworks(v1::MatchingNetworks& matching) {
  INNERLOOP_RETURN_IF_ERROR(InRange("algorithm.matching_networks.embedding_size",
                                    matching.embedding_size(), 0U, kMaxEmbedding));
  matching.set_scale(matching.has_scale() ? matching.scale() : 10);
  INNERLOOP_RETURN_IF_ERROR(Positive("algorithm.matching_networks.scale", matching.scale()));
  if (!matching.has_full_context()) {
    return absl::OkStatus();
  }
  v1::FullContextEmbeddings& context = *matching.mutable_full_context();
  context.set_read_steps(context.has_read_steps() ? context.read_steps() : 5);
  return InRange("algorithm.matching_networks.full_context.read_steps", context.read_steps(), 1U,
                 kMaxReadSteps);
}

absl::Status ResolvePrototypicalNetworks(v1::PrototypicalNetworks& prototypical) {
  using Spec = v1::PrototypicalNetworks;
  INNERLOOP_RETURN_IF_ERROR(InRange("algorithm.prototypical_networks.embedding_size",
                                    prototypical.embedding_size(), 0U, kMaxEmbedding));
  Spec::Distance distance = prototypical.distance();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("algorithm.prototypical_networks.distance", distance,
                                      Spec::DISTANCE_EUCLIDEAN, Spec::Distance_IsValid));
  prototypical.set_distance(distance);
  if (!prototypical.has_scale()) {
    prototypical.set_scale(distance == Spec::DISTANCE_COSINE ? 10 : 1);
  }
  return Positive("algorithm.prototypical_networks.scale", prototypical.scale());
}

absl::Status CheckMetric(const v1::JobSpec& spec, const TaskShape* shape) {
  if (!IsMetric(spec.algorithm())) {
    return absl::OkStatus();
  }
  const Metric metric = MetricOf(spec.algorithm());
  const bool regression = shape != nullptr
                              ? !shape->classification
                              : !spec.tasks().has_episodes() && !spec.tasks().has_grouped();
  if (regression) {
    return absl::InvalidArgumentError(
        absl::StrCat(metric.field,
                     " tells classes apart; the tasks have numeric targets: choose maml or "
                     "reptile"));
  }
  const v1::LossSpec::Kind loss = spec.loss().kind();
  if (loss != v1::LossSpec::KIND_UNSPECIFIED && loss != v1::LossSpec::KIND_CROSS_ENTROPY) {
    return absl::InvalidArgumentError(absl::StrCat("loss.kind is ", v1::LossSpec::Kind_Name(loss),
                                                   "; ", metric.field,
                                                   " minimises KIND_CROSS_ENTROPY alone"));
  }
  if (metric.embedding_size == 0 && !HasHiddenLayers(spec.model())) {
    return absl::InvalidArgumentError(
        absl::StrCat(metric.field,
                     ".embedding_size is 0, which leaves a model without hidden "
                     "layers no parameters; set it, or choose mlp with hidden "
                     "layers or conv4"));
  }
  if (spec.model().outputs() != 0 && spec.model().outputs() != metric.embedding_size) {
    return absl::InvalidArgumentError(absl::StrCat("model.outputs is ", spec.model().outputs(),
                                                   "; ", metric.field, ".embedding_size is ",
                                                   metric.embedding_size));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
