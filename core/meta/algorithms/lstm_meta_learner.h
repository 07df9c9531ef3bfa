// The LSTM meta-learner (Ravi & Larochelle 2017).
#pragma once

#include <memory>
#include <vector>

#include "core/meta/algorithms/adaptation.h"
#include "core/meta/algorithms/coordinate_lstm.h"
#include "core/meta/algorithms/evaluation.h"
#include "core/meta/objectives/meta_objective.h"

namespace innerloop::meta {

// An LSTM takes the inner steps; its weights ("learner.NAME") and the initial parameters
// ("model.NAME") are learned by the meta-objective's derivative through them, for which the inner
// gradients and losses are constants, as in the paper. Made by CreateAlgorithm. Immutable;
// thread-safe.
class LstmMetaLearner : public Algorithm {
 public:
  // INVALID_ARGUMENT names the field of the spec, which has algorithm.lstm_meta_learner.
  static absl::StatusOr<std::unique_ptr<Algorithm>> Create(const v1::JobSpec& resolved,
                                                           const TaskShape& shape);
  const std::vector<MetaParameter>& meta_parameters() const override { return meta_parameters_; }
  const Model& model() const override { return *learner_.model; }
  TaskSizes TrainingSizes(const TaskSizes& sizes) const override {
    return objective_.TrainingSizes(sizes);
  }
  void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed, Tensors& updates,
                  TaskSums& sums) const override;
  void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                const EvaluationSink& sink) const override;
  AdaptedTask Adapt(const Tensors& theta, const OwnTask& task,
                    const EvaluationRule& rule) const override;

 private:
  LstmMetaLearner(const v1::LstmMetaLearner& spec, Learner learner, MetaObjective objective);
  // The model's parameters [T, ...] as coordinates [T * P], task by task, and back.
  Tensor Pack(const Tensors& parameters) const;
  Tensors Unpack(const Tensor& coordinates, int64_t tasks) const;
  // The step that follows from the support set's losses and gradients.
  LstmState Step(const Tensors& weights, const LstmState& state,
                 const LossGradients& support) const;
  // The same as an evaluation takes it, without its graph; `state` goes on with each.
  InnerStep DetachedSteps(const Tensors& weights, LstmState& state) const;
  // The inner loop on a support set, with its graph.
  InnerPath Path(const Tensors& weights, const Tensors& initial, const Examples& support) const;

  const uint32_t inner_steps_;
  const Learner learner_;
  const MetaObjective objective_;
  const CoordinateLstm lstm_;
  std::vector<int64_t> sizes_;  // of the model's parameters, in values
  std::vector<MetaParameter> meta_parameters_;
};

}  // namespace innerloop::meta
