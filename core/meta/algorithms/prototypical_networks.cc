#include "core/meta/algorithms/prototypical_networks.h"

#include <string>

#include "absl/strings/str_format.h"
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

namespace {

// [T, classes, d]; zeros for classes without weight.
Tensor Prototypes(const EmbeddedTasks& tasks) {
  const Tensor totals = tasks.membership.sum(1).unsqueeze(2);  // [T, classes, 1]
  return MatrixProduct(tasks.membership.transpose(1, 2), tasks.support) /
         at::where(totals > 0, totals, 1);
}

}  // namespace

Tensor PrototypicalNetworks::Scores(const EmbeddedTasks& tasks,
                                    absl::Span<const Tensor> /*own*/) const {
  const Tensor prototypes = Prototypes(tasks);
  // What is the same for all of a query's classes falls out of the softmax and is left out: its own
  // squared length below, 1 from 1 - cosine.
  if (spec_.distance() == v1::PrototypicalNetworks::DISTANCE_COSINE) {
    return spec_.scale() * CosineSimilarities(tasks.query, prototypes);
  }
  const Tensor products = MatrixProduct(tasks.query, prototypes.transpose(1, 2));
  return spec_.scale() * (2 * products - prototypes.square().sum(2).unsqueeze(1));
}

ScriptHead PrototypicalNetworks::Head(const EmbeddedTasks& tasks,
                                      absl::Span<const Tensor> /*own*/) const {
  ScriptHead head;
  head.buffers = {{"prototypes", Prototypes(tasks)[0]}, {"unseen", tasks.unseen()[0]}};
  const std::string scores = spec_.distance() == v1::PrototypicalNetworks::DISTANCE_COSINE
                                 ? CosineScript("x", "self.prototypes")
                                 : "2 * torch.matmul(x, self.prototypes.t()) - (self.prototypes * "
                                   "self.prototypes).sum(1)";
  head.body = absl::StrFormat("  return (%.17g * (%s)).masked_fill(self.unseen, %.1f)\n",
                              spec_.scale(), scores, kLowestScore);
  return head;
}

}  // namespace innerloop::meta
