#include "core/meta/algorithms/evaluation.h"

#include <algorithm>

#include "core/meta/objectives/loss.h"

namespace innerloop::meta {
namespace {

// Bounds on one forward pass of QueriesAlone, in values. For 28x28 images that is 512 of them.
constexpr int64_t kInputValues = 512 * 28 * 28;
constexpr int64_t kParameterValues = int64_t{1} << 22;

// Queries of a task that are folded into the task dimension of one forward pass. A function of
// sizes alone, because how many go together shows in the last bits.
int64_t QueriesAtOnce(const Tensors& parameters, const TaskBatch& tasks) {
  const int64_t rows = tasks.tasks() * (tasks.support.count() + 1);
  int64_t row_values = 1;
  for (const int64_t size : tasks.query.inputs.sizes().slice(2)) {
    row_values *= size;
  }
  int64_t parameter_values = 1;
  for (const Tensor& parameter : parameters) {
    parameter_values += parameter.numel();
  }
  const int64_t fitting =
      std::min(kInputValues / (rows * row_values), kParameterValues / parameter_values);
  return std::clamp<int64_t>(fitting, 1, tasks.query.count());
}

// Each query in a batch with the support set and no other query: tasks x queries batches.
Tensor QueriesAlone(const Model& model, const Tensors& parameters, const TaskBatch& tasks) {
  const int64_t count = tasks.tasks();
  const int64_t support = tasks.support.count();
  const int64_t queries = tasks.query.count();
  const int64_t at_once = QueriesAtOnce(parameters, tasks);
  std::vector<Tensor> pieces;
  for (int64_t first = 0; first < queries; first += at_once) {
    const int64_t piece = std::min(at_once, queries - first);
    Tensors folded;
    folded.reserve(parameters.size());
    for (const Tensor& parameter : parameters) {
      folded.push_back(parameter.repeat_interleave(piece, /*dim=*/0, count * piece));
    }
    const Tensor alone = tasks.query.inputs.narrow(1, first, piece).flatten(0, 1).unsqueeze(1);
    const Tensor together = tasks.support.inputs.repeat_interleave(piece, 0, count * piece);
    const Tensor outputs = model.Forward(folded, at::cat({together, alone}, 1), {});
    pieces.push_back(outputs.select(1, support).view({count, piece, outputs.size(2)}));
  }
  return at::cat(pieces, 1);
}

// Halves the step from `before` to `after` for the tasks whose support loss it raises, at most
// `halvings` times; NaN counts as raised. `losses` [T] are those before.
void HalveRisingSteps(const Learner& learner, const Examples& support, int64_t halvings,
                      const Tensor& losses, const Tensors& before, Tensors& after) {
  const torch::NoGradGuard no_grad;
  for (int64_t i = 0; i < halvings; ++i) {
    const Tensor outputs = learner.model->Forward(after, support.inputs, {});
    const Tensor falls = TaskLosses(learner.loss, outputs, support) <= losses;
    if (falls.all().item<bool>()) {
      return;
    }
    for (size_t p = 0; p < after.size(); ++p) {
      std::vector<int64_t> per_task(static_cast<size_t>(after[p].dim()), 1);
      per_task[0] = falls.size(0);
      after[p] = at::where(falls.view(per_task), after[p], (before[p] + after[p]) / 2)
                     .detach()
                     .requires_grad_();
    }
  }
}

}  // namespace

Tensor Float64(const Tensor& values) {
  return values.defined() ? values.to(torch::kCPU, torch::kDouble).contiguous() : values;
}

Tensor QueryOutputs(const Model& model, const Tensors& parameters, const TaskBatch& tasks,
                    v1::Transduction transduction) {
  const torch::NoGradGuard no_grad;
  switch (transduction) {
    case v1::TRANSDUCTION_SUPPORT_STATISTICS: {
      const int64_t support = tasks.support.count();
      const Tensor inputs = at::cat({tasks.support.inputs, tasks.query.inputs}, 1);
      return model.Forward(parameters, inputs, {.statistics_rows = support})
          .narrow(1, support, tasks.query.count());
    }
    case v1::TRANSDUCTION_SINGLE_QUERY:
      return QueriesAlone(model, parameters, tasks);
    default:
      return model.Forward(parameters, tasks.query.inputs, {});
  }
}

void EvaluateSteps(const Learner& learner, Tensors parameters, const TaskBatch& tasks,
                   const EvaluationRule& rule, InnerStep step, const EvaluationSink& sink) {
  for (int64_t taken = 0;; ++taken) {
    {
      const torch::NoGradGuard no_grad;
      const Tensor outputs = QueryOutputs(*learner.model, parameters, tasks, rule.transduction);
      sink(taken, Float64(TaskLosses(learner.loss, outputs, tasks.query)),
           Float64(TaskAccuracies(learner.loss, outputs, tasks.query)));
    }
    if (taken == rule.steps) {
      return;
    }
    const LossGradients support =
        Differentiate(learner, parameters, tasks.support, /*create_graph=*/false);
    const Tensors before = std::move(parameters);
    parameters = step(before, support);
    if (rule.line_search > 0) {
      HalveRisingSteps(learner, tasks.support, rule.line_search, support.losses, before,
                       parameters);
    }
  }
}

void EvaluateAdaptation(const Learner& learner, const Tensors& theta, const TaskBatch& tasks,
                        const EvaluationRule& rule, const EvaluationSink& sink) {
  InnerOptimizer::State state = learner.optimizer->Begin();
  EvaluateSteps(
      learner, ExpandToTasks(theta, tasks.tasks()), tasks, rule,
      [&](const Tensors& parameters, const LossGradients& support) {
        return DetachedStep(learner, parameters, support.gradients, state);
      },
      sink);
}

}  // namespace innerloop::meta
