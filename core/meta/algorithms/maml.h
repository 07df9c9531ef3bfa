// Model-agnostic meta-learning (Finn et al. 2017).
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/meta/algorithms/adaptation.h"
#include "core/meta/algorithms/inner_paths.h"
#include "core/meta/objectives/meta_objective.h"

namespace innerloop::meta {

// The meta-gradient of the objective after the inner loop, of second or first order. Made by
// CreateAlgorithm. Immutable; thread-safe.
class MamlAlgorithm : public Algorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.maml.
  static absl::StatusOr<std::unique_ptr<Algorithm>> Create(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);
  const std::vector<MetaParameter>& meta_parameters() const override { return meta_parameters_; }
  const Model& model() const override { return *learner_.model; }
  TaskSizes TrainingSizes(const TaskSizes& sizes) const override;
  void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed, Tensors& updates,
                  TaskSums& sums) const override;
  void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                const EvaluationSink& sink) const override;
  AdaptedTask Adapt(const Tensors& theta, const OwnTask& task,
                    const EvaluationRule& rule) const override;

 private:
  MamlAlgorithm(const v1::Maml& spec, Learner learner, MetaObjective objective)
      : spec_(spec),
        learner_(std::move(learner)),
        objective_(std::move(objective)),
        meta_parameters_(ModelMetaParameters(*learner_.model)) {}
  InnerLoops LoopsOf(const SupportSets& sets, InnerPath path, InnerPath second) const {
    return {*learner_.model, learner_.loss, sets.tasks, std::move(path), std::move(second)};
  }
  // Each adds the tasks' updates and measures.
  void ThroughGraph(const Tensors& initial, const SupportSets& sets, bool detailed,
                    Tensors& updates, TaskSums& sums) const;
  void FirstOrder(const Tensors& initial, const SupportSets& sets, bool detailed, Tensors& updates,
                  TaskSums& sums) const;
  void ByHessianProducts(const Tensors& initial, const SupportSets& sets, bool detailed,
                         Tensors& updates, TaskSums& sums) const;

  const v1::Maml spec_;
  const Learner learner_;
  const MetaObjective objective_;
  const std::vector<MetaParameter> meta_parameters_;
};

}  // namespace innerloop::meta
