// Reptile (Nichol et al. 2018).
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/meta/algorithms/adaptation.h"
#include "core/meta/objectives/meta_objective.h"

namespace innerloop::meta {

// A task's update is theta - theta', the way that its inner loop went, backwards, or where the job
// has an objective of its own the first-order gradient of that. Inner steps in training take
// mini-batches of the support set where the job asks for them; evaluation takes the whole support
// set in each step. Made by CreateAlgorithm. Immutable; thread-safe.
class ReptileAlgorithm : public Algorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.reptile.
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
  ReptileAlgorithm(const v1::Reptile& spec, Learner learner, std::optional<MetaObjective> objective)
      : spec_(spec),
        learner_(std::move(learner)),
        objective_(std::move(objective)),
        meta_parameters_(ModelMetaParameters(*learner_.model)) {}
  // From the leaves `initial` on the tasks' support sets.
  InnerPath PathOf(const Tensors& initial, const TaskBatch& tasks, bool every_point) const;
  // theta - theta'.
  void AddWays(const Tensors& initial, const TaskBatch& tasks, bool detailed, Tensors& updates,
               TaskSums& sums) const;
  void AddObjectiveGradients(const Tensors& initial, const SupportSets& sets, bool detailed,
                             Tensors& updates, TaskSums& sums) const;

  const v1::Reptile spec_;
  const Learner learner_;
  const std::optional<MetaObjective> objective_;
  const std::vector<MetaParameter> meta_parameters_;
};

}  // namespace innerloop::meta
