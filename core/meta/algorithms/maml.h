// Model-agnostic meta-learning (Finn et al. 2017).
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/meta/algorithms/adaptation.h"

namespace innerloop::meta {

// The meta-gradient of the query loss after the inner loop, of second or first order. Made by
// CreateAlgorithm. Immutable; thread-safe.
class MamlAlgorithm : public Algorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.maml.
  static absl::StatusOr<std::unique_ptr<Algorithm>> Create(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);
  const std::vector<MetaParameter>& meta_parameters() const override { return meta_parameters_; }
  void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed, Tensors& updates,
                  TaskSums& sums) const override;
  void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                const EvaluationSink& sink) const override;

 private:
  // The inner loop's result, and each task's gradient of its query loss by its initial parameters.
  struct MetaGradient {
    Adapted adapted;
    Tensors gradients;
  };

  MamlAlgorithm(const v1::Maml& spec, Learner learner)
      : spec_(spec),
        learner_(std::move(learner)),
        meta_parameters_(ModelMetaParameters(*learner_.model)) {}
  MetaGradient ThroughGraph(Tensors initial, const TaskBatch& tasks) const;
  MetaGradient FirstOrder(Tensors initial, const TaskBatch& tasks) const;
  MetaGradient ByHessianProducts(Tensors initial, const TaskBatch& tasks) const;
  // The query loss at `parameters`, differentiated by `variables`.
  MetaGradient QueryGradient(Tensors initial, Tensors parameters, const Tensors& variables,
                             const TaskBatch& tasks) const;

  const v1::Maml spec_;
  const Learner learner_;
  const std::vector<MetaParameter> meta_parameters_;
};

}  // namespace innerloop::meta
