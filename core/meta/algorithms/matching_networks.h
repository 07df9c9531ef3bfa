// Matching Networks (Vinyals et al. 2016).
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "core/meta/algorithms/full_context.h"
#include "core/meta/algorithms/metric.h"

namespace innerloop::meta {

// A query attends to the support set by a softmax over scaled cosine similarities; a class's
// probability is the attention that its examples get (equation 1), each in proportion to its
// weight. Made by CreateAlgorithm. Immutable; thread-safe.
class MatchingNetworks : public MetricAlgorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.matching_networks.
  static absl::StatusOr<std::unique_ptr<Algorithm>> Create(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);

 private:
  MatchingNetworks(const v1::JobSpec& resolved, std::unique_ptr<Model> encoder,
                   std::optional<FullContext> full_context);
  Tensor Scores(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const override;
  ScriptHead Head(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const override;

  const v1::MatchingNetworks spec_;
  const std::optional<FullContext> full_context_;
};

}  // namespace innerloop::meta
