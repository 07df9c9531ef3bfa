// What methods share that classify by comparing embeddings.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/models/model.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// Below every score; finite, so that no derivative is a NaN.
inline constexpr double kLowestScore = -1e30;

// The embeddings of T tasks' examples, and what is known of the support set.
struct EmbeddedTasks {
  Tensor support;  // [T, n, d]
  Tensor query;    // [T, q, d]
  Tensor labels;   // [T, n], of the support set
  // [T, n, classes]: an example's weight in the column of its label.
  Tensor membership;

  Tensor weights() const { return membership.sum(2); }  // [T, n]
  // [T, 1, classes]: which classes have no support examples.
  Tensor unseen() const { return membership.sum(1, /*keepdim=*/true) == 0; }
};

// Embeds a task's examples by one encoder, or queries by one of their own, and leaves it to the
// method what a query's classes follow from. Nothing adapts: evaluations measure step 0 alone, with
// any ways. The encoders' parameters are shared by all tasks and never copied for each. Immutable;
// thread-safe.
//
// Meta-parameters: "model.*", the encoder; "query_model.*", that of the queries where they have
// their own; then the method's own, "context.*".
class MetricAlgorithm : public Algorithm {
 public:
  const std::vector<MetaParameter>& meta_parameters() const final { return meta_parameters_; }
  const Model& model() const final { return *encoder_; }
  bool AnyWays() const final { return true; }
  void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed, Tensors& updates,
                  TaskSums& sums) const final;
  void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                const EvaluationSink& sink) const final;
  AdaptedTask Adapt(const Tensors& theta, const OwnTask& task,
                    const EvaluationRule& rule) const final;

 protected:
  MetricAlgorithm(const v1::LossSpec& loss, std::unique_ptr<Model> encoder,
                  bool separate_query_encoder, absl::Span<const ModelParameter> own_parameters);
  // Scores [T, q, classes], whose softmax over classes gives their probabilities. Those of classes
  // without support examples are not used, but finite. `own` are the method's own parameters.
  virtual Tensor Scores(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const = 0;
  // The scores [n, classes] of embeddings x [n, d] against the support set of one task, without
  // those of `tasks`' queries.
  virtual ScriptHead Head(const EmbeddedTasks& tasks, absl::Span<const Tensor> own) const = 0;

 private:
  absl::Span<const Tensor> OwnOf(absl::Span<const Tensor> theta) const;
  EmbeddedTasks Embed(absl::Span<const Tensor> theta, const TaskBatch& tasks, int64_t classes,
                      v1::Transduction transduction) const;
  // Scores, the lowest for classes without support examples.
  Tensor MaskedScores(absl::Span<const Tensor> theta, const EmbeddedTasks& embedded) const;
  // Log-probabilities of the queries' classes, [T, q, classes].
  Tensor Classify(absl::Span<const Tensor> theta, const TaskBatch& tasks,
                  v1::Transduction transduction) const;

  const v1::LossSpec loss_;
  const std::unique_ptr<Model> encoder_;
  const bool separate_;
  std::vector<MetaParameter> meta_parameters_;
};

// The model of a resolved job without a head (`embedding_size` 0), or with one of so many outputs.
// INVALID_ARGUMENT names the field of the spec.
absl::StatusOr<std::unique_ptr<Model>> CreateEncoder(const v1::JobSpec& resolved,
                                                     const TaskShape& shape,
                                                     int64_t embedding_size);

// Cosines of the angles between a [T, m, d] and b [T, n, d], [T, m, n]; 0 for vectors near 0.
Tensor CosineSimilarities(const Tensor& a, const Tensor& b);
// The same as a TorchScript expression, for a [m, d] and b [n, d].
std::string CosineScript(absl::string_view a, absl::string_view b);

}  // namespace innerloop::meta
