#include "core/meta/algorithms/evaluation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
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

// Takes the steps from `parameters` on, and returns where they end; `visit` sees each point.
Tensors TakeSteps(const Learner& learner, Tensors parameters, const Examples& support,
                  const EvaluationRule& rule, const InnerStep& step,
                  absl::FunctionRef<void(int64_t taken, const Tensors& parameters)> visit) {
  for (int64_t taken = 0;; ++taken) {
    visit(taken, parameters);
    if (taken == rule.steps) {
      return parameters;
    }
    const LossGradients gradients =
        Differentiate(learner, parameters, support, /*create_graph=*/false);
    const Tensors before = std::move(parameters);
    parameters = step(before, gradients);
    if (rule.line_search > 0) {
      HalveRisingSteps(learner, support, rule.line_search, gradients.losses, before, parameters);
    }
  }
}

// A model that belongs to someone else; its first outputs, which are those of the classes that a
// task has, or with a count of 0 all of them.
class FirstOutputs final : public Model {
 public:
  FirstOutputs(const Model& model, int64_t count) : model_(model), count_(count) {
    parameters_ = model.parameters();
  }
  Tensor Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                 const ForwardOptions& options) const override {
    const Tensor outputs = model_.Forward(parameters, inputs, options);
    return count_ == 0 ? outputs : outputs.narrow(2, 0, count_);
  }
  Tensor Features(absl::Span<const Tensor> parameters, const Tensor& inputs,
                  const ForwardOptions& options) const override {
    return model_.Features(parameters, inputs, options);
  }
  ModelScript Script(absl::Span<const Tensor> parameters) const override {
    return model_.Script(parameters);
  }

 private:
  const Model& model_;
  const int64_t count_;
};

Tensors WithoutTaskDimension(const Tensors& parameters) {
  Tensors without;
  without.reserve(parameters.size());
  for (const Tensor& parameter : parameters) {
    without.push_back(parameter.detach().squeeze(0));
  }
  return without;
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
                   const EvaluationRule& rule, const InnerStep& step, const EvaluationSink& sink) {
  TakeSteps(learner, std::move(parameters), tasks.support, rule, step,
            [&](int64_t taken, const Tensors& reached) {
              const torch::NoGradGuard no_grad;
              const Tensor outputs =
                  QueryOutputs(*learner.model, reached, tasks, rule.transduction);
              sink(taken, Float64(TaskLosses(learner.loss, outputs, tasks.query)),
                   Float64(TaskAccuracies(learner.loss, outputs, tasks.query)));
            });
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

AdaptedTask AdaptInSteps(const Learner& learner, Tensors parameters, const OwnTask& task,
                         const EvaluationRule& rule, const InnerStep& step) {
  Learner used;  // without an optimiser: the steps are the caller's
  used.model = std::make_unique<FirstOutputs>(*learner.model, task.classes);
  used.loss = learner.loss;
  AdaptedTask adapted;
  adapted.model = learner.model.get();
  adapted.head.body =
      task.classes == 0 ? "  return x\n" : absl::StrCat("  return x[:, :", task.classes, "]\n");
  const Tensors reached = TakeSteps(
      used, std::move(parameters), task.support, rule,
      [&](const Tensors& from, const LossGradients& support) {
        adapted.support_losses.push_back(support.losses.item<double>());
        return step(from, support);
      },
      [](int64_t, const Tensors&) {});
  const torch::NoGradGuard no_grad;
  const Tensor outputs = used.model->Forward(reached, task.support.inputs, {});
  adapted.support_losses.push_back(TaskLosses(learner.loss, outputs, task.support).item<double>());
  adapted.outputs = InParts(task, rule, [&](const TaskBatch& part) {
    return QueryOutputs(*used.model, reached, part, rule.transduction);
  });
  adapted.parameters = WithoutTaskDimension(reached);
  return adapted;
}

AdaptedTask AdaptToOwnTask(const Learner& learner, const Tensors& theta, const OwnTask& task,
                           const EvaluationRule& rule) {
  InnerOptimizer::State state = learner.optimizer->Begin();
  return AdaptInSteps(learner, ExpandToTasks(theta, /*tasks=*/1), task, rule,
                      [&](const Tensors& parameters, const LossGradients& support) {
                        return DetachedStep(learner, parameters, support.gradients, state);
                      });
}

Tensor InParts(const OwnTask& task, const EvaluationRule& rule,
               absl::FunctionRef<Tensor(const TaskBatch& task)> forward) {
  if (!task.queries.defined() || task.queries.size(1) == 0) {
    return {};
  }
  const int64_t queries = task.queries.size(1);
  const int64_t row_values = task.queries.numel() / queries;
  const int64_t at_once = rule.transduction == v1::TRANSDUCTION_ALL_QUERIES
                              ? queries
                              : std::max<int64_t>(1, kInputValues / row_values);
  TaskBatch part{.support = task.support};
  Tensors pieces;
  for (int64_t first = 0; first < queries; first += at_once) {
    part.query.inputs = task.queries.narrow(1, first, std::min(at_once, queries - first));
    pieces.push_back(forward(part).squeeze(0));
  }
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

}  // namespace innerloop::meta
