#include "core/meta/algorithms/prototypical_networks.h"

#include "core/meta/ops/matrix_product.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {

absl::StatusOr<std::unique_ptr<Algorithm>> PrototypicalNetworks::Create(const v1::JobSpec& resolved,
                                                                        const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(
      std::unique_ptr<Model> encoder,
      CreateEncoder(resolved, shape,
                    resolved.algorithm().prototypical_networks().embedding_size()));
  return std::unique_ptr<Algorithm>(new PrototypicalNetworks(resolved, std::move(encoder)));
}

Tensor PrototypicalNetworks::Scores(const EmbeddedTasks& tasks,
                                    absl::Span<const Tensor> /*own*/) const {
  const Tensor totals = tasks.membership.sum(1).unsqueeze(2);  // [T, classes, 1]
  const Tensor prototypes = MatrixProduct(tasks.membership.transpose(1, 2), tasks.support) /
                            at::where(totals > 0, totals, 1);
  // What is the same for all of a query's classes falls out of the softmax and is left out: its own
  // squared length below, 1 from 1 - cosine.
  if (spec_.distance() == v1::PrototypicalNetworks::DISTANCE_COSINE) {
    return spec_.scale() * CosineSimilarities(tasks.query, prototypes);
  }
  const Tensor products = MatrixProduct(tasks.query, prototypes.transpose(1, 2));
  return spec_.scale() * (2 * products - prototypes.square().sum(2).unsqueeze(1));
}

}  // namespace innerloop::meta
