#include "core/meta/algorithms/lstm_meta_learner.h"

#include <utility>

#include "core/meta/algorithms/evaluation.h"
#include "core/meta/algorithms/inner_paths.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {

LstmMetaLearner::LstmMetaLearner(const v1::LstmMetaLearner& spec, Learner learner,
                                 MetaObjective objective)
    : inner_steps_(spec.inner_steps()),
      learner_(std::move(learner)),
      objective_(std::move(objective)),
      lstm_(spec),
      meta_parameters_(ModelMetaParameters(*learner_.model)) {
  for (const ModelParameter& parameter : learner_.model->parameters()) {
    int64_t size = 1;
    for (const int64_t length : parameter.shape) {
      size *= length;
    }
    sizes_.push_back(size);
  }
  AddMetaParameters("learner.", lstm_.parameters(), meta_parameters_);
}

absl::StatusOr<std::unique_ptr<Algorithm>> LstmMetaLearner::Create(const v1::JobSpec& resolved,
                                                                   const TaskShape& shape) {
  INNERLOOP_ASSIGN_OR_RETURN(MetaObjective objective, MetaObjective::Create(resolved.objective()));
  Learner learner;
  INNERLOOP_ASSIGN_OR_RETURN(learner.model, CreateModel(resolved.model(), shape));
  learner.loss = resolved.loss();
  return std::unique_ptr<Algorithm>(new LstmMetaLearner(resolved.algorithm().lstm_meta_learner(),
                                                        std::move(learner), std::move(objective)));
}

Tensor LstmMetaLearner::Pack(const Tensors& parameters) const {
  Tensors rows;
  rows.reserve(parameters.size());
  for (const Tensor& parameter : parameters) {
    rows.push_back(parameter.flatten(1));
  }
  return at::cat(rows, 1).flatten();
}

Tensors LstmMetaLearner::Unpack(const Tensor& coordinates, int64_t tasks) const {
  Tensors parameters = at::split_with_sizes(coordinates.view({tasks, -1}), sizes_, 1);
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::vector<int64_t> sizes = {tasks};
    const std::vector<int64_t>& shape = learner_.model->parameters()[i].shape;
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    parameters[i] = parameters[i].contiguous().view(sizes);
  }
  return parameters;
}

LstmState LstmMetaLearner::Step(const Tensors& weights, const LstmState& state,
                                const LossGradients& support) const {
  const int64_t tasks = support.losses.size(0);
  LstmInputs inputs;
  {
    const torch::NoGradGuard no_grad;
    Tensors gradients = support.gradients;
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) {
        gradients[i] = at::zeros({tasks, sizes_[i]}, support.losses.options());
      }
    }
    inputs.gradients = Pack(gradients);
    inputs.losses = support.losses.repeat_interleave(inputs.gradients.size(0) / tasks);
  }
  return lstm_.Step(weights, state, inputs);
}

InnerPath LstmMetaLearner::Path(const Tensors& weights, const Tensors& initial,
                                const Examples& support) const {
  InnerPath path{.points = {initial}};
  LstmState state = lstm_.Begin(Pack(initial));
  for (uint32_t step = 0; step < inner_steps_; ++step) {
    Tensors leaves;
    leaves.reserve(sizes_.size());
    for (const Tensor& parameter : path.points.back()) {
      leaves.push_back(parameter.detach().requires_grad_());
    }
    state = Step(weights, state, Differentiate(learner_, leaves, support, /*create_graph=*/false));
    path.Append(Unpack(state.theta, support.tasks()), objective_.needs_every_point());
  }
  return path;
}

void LstmMetaLearner::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed,
                                 Tensors& updates, TaskSums& sums) const {
  const auto model_end = theta.begin() + static_cast<std::ptrdiff_t>(sizes_.size());
  const Tensors initial = ExpandToTasks(Tensors(theta.begin(), model_end), tasks.tasks());
  Tensors weights(model_end, theta.end());
  for (Tensor& weight : weights) {
    weight = weight.detach().requires_grad_();
  }
  const SupportSets sets = objective_.SupportSetsOf(tasks);
  InnerLoops loops(*learner_.model, learner_.loss, sets.tasks,
                   Path(weights, initial, sets.tasks.support),
                   sets.second.has_value() ? Path(weights, initial, *sets.second) : InnerPath());
  const Tensor values = objective_.Values(loops);
  Tensors variables = initial;
  variables.insert(variables.end(), weights.begin(), weights.end());
  const Tensors gradients =
      torch::autograd::grad({values}, variables, {at::ones_like(values)}, /*retain_graph=*/false,
                            /*create_graph=*/false, /*allow_unused=*/true);
  {
    // Each task has its own initial parameters; the weights' gradients are sums already.
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < updates.size(); ++i) {
      if (gradients[i].defined()) {
        updates[i].add_(i < sizes_.size() ? gradients[i].sum(0) : gradients[i]);
      }
    }
  }
  AddMeasures(learner_, loops, detailed, sums);
  sums.meta_loss += SumOf(values);
}

InnerStep LstmMetaLearner::DetachedSteps(const Tensors& weights, LstmState& state) const {
  return [this, &weights, &state](const Tensors&, const LossGradients& support) {
    const torch::NoGradGuard no_grad;
    state = Step(weights, state, support);
    Tensors next = Unpack(state.theta, support.losses.size(0));
    for (Tensor& parameter : next) {
      parameter.requires_grad_();
    }
    return next;
  };
}

void LstmMetaLearner::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                               const EvaluationRule& rule, const EvaluationSink& sink) const {
  const auto model_end = theta.begin() + static_cast<std::ptrdiff_t>(sizes_.size());
  const Tensors initial = ExpandToTasks(Tensors(theta.begin(), model_end), tasks.tasks());
  const Tensors weights(model_end, theta.end());
  LstmState state = lstm_.Begin(Pack(initial).detach());
  EvaluateSteps(learner_, initial, tasks, rule, DetachedSteps(weights, state), sink);
}

AdaptedTask LstmMetaLearner::Adapt(const Tensors& theta, const OwnTask& task,
                                   const EvaluationRule& rule) const {
  const auto model_end = theta.begin() + static_cast<std::ptrdiff_t>(sizes_.size());
  const Tensors initial = ExpandToTasks(Tensors(theta.begin(), model_end), /*tasks=*/1);
  const Tensors weights(model_end, theta.end());
  LstmState state = lstm_.Begin(Pack(initial).detach());
  return AdaptInSteps(learner_, initial, task, rule, DetachedSteps(weights, state));
}

}  // namespace innerloop::meta
