#include "core/meta/algorithms/matching_networks.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "core/meta/ops/matrix_product.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// Numbers in an embedding of the model without a head: what its head would take.
absl::StatusOr<int64_t> CountFeatures(const v1::JobSpec& resolved, const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::unique_ptr<Model> with_head,
                             CreateEncoder(resolved, shape, /*embedding_size=*/1));
  const std::vector<ModelParameter>& parameters = with_head->parameters();
  const auto head =
      std::find_if(parameters.begin(), parameters.end(),
                   [](const ModelParameter& parameter) { return parameter.name == "head.weight"; });
  if (head == parameters.end()) {
    return absl::InvalidArgumentError(
        "algorithm.matching_networks.full_context needs embedding_size for this model");
  }
  return head->shape[0];
}

// log sum_i w_i exp(scores_i) over each class's support examples, [T, q, classes], from scores
// [T, q, n]; undefined but finite for classes without weight.
Tensor LogSumsByClass(const Tensor& scores, const EmbeddedTasks& tasks) {
  const Tensor weights = tasks.weights();
  const Tensor counted = scores.masked_fill((weights == 0).unsqueeze(1), kLowestScore);
  const int64_t classes = tasks.membership.size(2);
  const Tensor labels = tasks.labels.unsqueeze(1).expand_as(scores);
  // Each class's largest score, taken out of its exponentials: a constant that cancels.
  Tensor largest;
  Tensor own_largest;
  {
    const torch::NoGradGuard no_grad;
    largest = at::full({scores.size(0), scores.size(1), classes}, kLowestScore, scores.options())
                  .scatter_reduce(2, labels, counted, "amax");
    own_largest = largest.gather(2, labels);
  }
  const Tensor sums = MatrixProduct((counted - own_largest).exp(), tasks.membership);
  return largest + at::where(sums > 0, sums, 1).log();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Algorithm>> MatchingNetworks::Create(const v1::JobSpec& resolved,
                                                                    const TaskShape& shape) {
  const v1::MatchingNetworks& spec = resolved.algorithm().matching_networks();
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Model> encoder,
                             CreateEncoder(resolved, shape, spec.embedding_size()));
  std::optional<FullContext> full_context;
  if (spec.has_full_context()) {
    int64_t size = spec.embedding_size();
    if (size == 0) {
      INNERLOOP_ASSIGN_OR_RETURN(size, CountFeatures(resolved, shape));
    }
    full_context.emplace(size, spec.full_context().read_steps());
  }
  return std::unique_ptr<Algorithm>(
      new MatchingNetworks(resolved, std::move(encoder), std::move(full_context)));
}

MatchingNetworks::MatchingNetworks(const v1::JobSpec& resolved, std::unique_ptr<Model> encoder,
                                   std::optional<FullContext> full_context)
    : MetricAlgorithm(
          resolved.loss(), std::move(encoder),
          resolved.algorithm().matching_networks().separate_query_encoder(),
          full_context.has_value() ? full_context->parameters() : std::vector<ModelParameter>{}),
      spec_(resolved.algorithm().matching_networks()),
      full_context_(std::move(full_context)) {}

Tensor MatchingNetworks::Scores(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const {
  Tensor support = tasks.support;
  Tensor query = tasks.query;
  if (full_context_.has_value()) {
    const Tensor weights = tasks.weights();
    support = full_context_->Support(own, support, weights);
    query = full_context_->Query(own, query, support, weights);
  }
  return LogSumsByClass(spec_.scale() * CosineSimilarities(query, support), tasks);
}

ScriptHead MatchingNetworks::Head(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const {
  ScriptHead head;
  Tensor support = tasks.support;
  if (full_context_.has_value()) {
    support = full_context_->Support(own, support, tasks.weights());
    head = full_context_->QueryScript(own);
  }
  head.buffers.push_back({"support", support[0]});
  // [classes, 1, n]: which examples are another class's.
  head.buffers.push_back({"others", (tasks.membership[0] == 0).t().unsqueeze(1)});
  // A class's examples together: the logarithm of the sum of their exponentials.
  absl::StrAppendFormat(
      &head.body,
      "  scores = %.17g * (%s)\n"
      "  return torch.logsumexp(scores.unsqueeze(0).masked_fill(self.others, %.1f), 2).t()\n",
      spec_.scale(), CosineScript("x", "self.support"), kLowestScore);
  return head;
}

}  // namespace innerloop::meta
