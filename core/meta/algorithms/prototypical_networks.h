// Prototypical Networks (Snell et al. 2017).
#pragma once

#include <memory>
#include <utility>

#include "core/meta/algorithms/metric.h"

namespace innerloop::meta {

// A class's prototype is the weighted mean of its support embeddings (equation 1); a query's
// probabilities are the softmax of minus its distances to the prototypes, times a factor
// (equation 2). Made by CreateAlgorithm. Immutable; thread-safe.
class PrototypicalNetworks : public MetricAlgorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.prototypical_networks.
  static absl::StatusOr<std::unique_ptr<Algorithm>> Create(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);

 private:
  PrototypicalNetworks(const v1::JobSpec& resolved, std::unique_ptr<Model> encoder)
      : MetricAlgorithm(resolved.loss(), std::move(encoder), /*separate_query_encoder=*/false, {}),
        spec_(resolved.algorithm().prototypical_networks()) {}
  Tensor Scores(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const override;
  ScriptHead Head(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const override;

  const v1::PrototypicalNetworks spec_;
};

}  // namespace innerloop::meta
