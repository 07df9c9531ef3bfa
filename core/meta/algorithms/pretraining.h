// Ordinary training on what all tasks have in common: the usual baseline of meta-learning.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/meta/algorithms/adaptation.h"

namespace innerloop::meta {

// A task's update is the gradient of the unadapted model's mean loss over its support and query
// examples together. Evaluation fine-tunes. Made by CreateAlgorithm. Immutable; thread-safe.
class PretrainingAlgorithm : public Algorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.pretraining.
  static absl::StatusOr<std::unique_ptr<Algorithm>> Create(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);
  const std::vector<MetaParameter>& meta_parameters() const override { return meta_parameters_; }
  const Model& model() const override { return *learner_.model; }
  void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed, Tensors& updates,
                  TaskSums& sums) const override;
  void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                const EvaluationSink& sink) const override;
  AdaptedTask Adapt(const Tensors& theta, const OwnTask& task,
                    const EvaluationRule& rule) const override;

 private:
  explicit PretrainingAlgorithm(Learner learner)
      : learner_(std::move(learner)), meta_parameters_(ModelMetaParameters(*learner_.model)) {}

  const Learner learner_;
  const std::vector<MetaParameter> meta_parameters_;
};

}  // namespace innerloop::meta
