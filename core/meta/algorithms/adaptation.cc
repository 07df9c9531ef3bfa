#include "core/meta/algorithms/adaptation.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/meta/objectives/loss.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {

absl::StatusOr<Learner> CreateLearner(const v1::JobSpec& resolved, const TaskShape& shape,
                                      const v1::InnerOptimizer& optimizer, bool differentiated) {
  Learner learner;
  INNERLOOP_ASSIGN_OR_RETURN(learner.model, CreateModel(resolved.model(), shape));
  learner.loss = resolved.loss();
  learner.optimizer = CreateInnerOptimizer(optimizer, differentiated);
  return learner;
}

void AddMetaParameters(absl::string_view prefix, absl::Span<const ModelParameter> added,
                       std::vector<MetaParameter>& parameters) {
  parameters.reserve(parameters.size() + added.size());
  for (const ModelParameter& parameter : added) {
    MetaParameter& meta = parameters.emplace_back();
    meta.spec.set_name(absl::StrCat(prefix, parameter.name));
    meta.spec.mutable_shape()->Add(parameter.shape.begin(), parameter.shape.end());
    meta.initialiser = parameter.initialiser;
  }
}

std::vector<MetaParameter> ModelMetaParameters(const Model& model) {
  std::vector<MetaParameter> parameters;
  AddMetaParameters("model.", model.parameters(), parameters);
  return parameters;
}

Tensors ShareAmongTasks(absl::Span<const Tensor> theta, int64_t tasks) {
  Tensors shared;
  shared.reserve(theta.size());
  for (const Tensor& tensor : theta) {
    std::vector<int64_t> sizes = {tasks};
    sizes.insert(sizes.end(), tensor.sizes().begin(), tensor.sizes().end());
    shared.push_back(tensor.unsqueeze(0).expand(sizes));
  }
  return shared;
}

Tensors ExpandToTasks(const Tensors& theta, int64_t tasks) {
  const torch::NoGradGuard no_grad;
  Tensors expanded = ShareAmongTasks(theta, tasks);
  for (Tensor& tensor : expanded) {
    tensor = tensor.clone(at::MemoryFormat::Contiguous).requires_grad_();
  }
  return expanded;
}

LossGradients Differentiate(const Learner& learner, const Tensors& parameters,
                            const Examples& examples, bool create_graph) {
  LossGradients result;
  const Tensor outputs = learner.model->Forward(parameters, examples.inputs, {});
  result.losses = TaskLosses(learner.loss, outputs, examples);
  // Tasks are independent, so that the gradient of the losses' sum holds each task's own.
  result.gradients = torch::autograd::grad(
      {result.losses}, parameters, /*grad_outputs=*/{at::ones_like(result.losses)},
      /*retain_graph=*/create_graph, create_graph, /*allow_unused=*/true);
  return result;
}

Tensors DetachedStep(const Learner& learner, const Tensors& parameters, const Tensors& gradients,
                     InnerOptimizer::State& state) {
  const torch::NoGradGuard no_grad;
  Tensors next = learner.optimizer->Step(parameters, gradients, state);
  for (Tensor& tensor : next) {
    // Also where it is the tensor before: a parameter without a gradient.
    tensor = tensor.detach().requires_grad_();
  }
  return next;
}

void AddTaskSums(const Tensors& updates_of_tasks, Tensors& updates) {
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < updates.size(); ++i) {
    if (updates_of_tasks[i].defined()) {
      updates[i].add_(updates_of_tasks[i].sum(0));
    }
  }
}

void AddMeasures(const Learner& learner, const Adapted& adapted, const TaskBatch& tasks,
                 bool detailed, TaskSums& sums) {
  const torch::NoGradGuard no_grad;
  constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
  const Tensor accuracies = TaskAccuracies(learner.loss, adapted.query_outputs, tasks.query);
  sums.meta_accuracy += accuracies.defined() ? SumOf(accuracies) : kNotMeasured;
  const auto loss = [&](const Tensors& parameters, const Examples& examples) {
    return detailed ? SumOf(TaskLosses(learner.loss,
                                       learner.model->Forward(parameters, examples.inputs, {}),
                                       examples))
                    : kNotMeasured;
  };
  sums.support_loss_before += loss(adapted.initial, tasks.support);
  sums.support_loss_after += loss(adapted.adapted, tasks.support);
  sums.query_loss_before += loss(adapted.initial, tasks.query);
}

double SumOf(const Tensor& values) {
  const Tensor wide = values.detach().to(torch::kCPU, torch::kDouble).contiguous();
  const double* value = wide.const_data_ptr<double>();
  double sum = 0;
  for (int64_t t = 0; t < wide.numel(); ++t) {
    sum += value[t];
  }
  return sum;
}

}  // namespace innerloop::meta
