#include "core/meta/algorithms/metric.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/meta/algorithms/adaptation.h"
#include "core/meta/algorithms/evaluation.h"
#include "core/meta/objectives/loss.h"
#include "core/meta/ops/matrix_product.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// A class without support examples has the probability 2^-23, the smallest step from 1 in float32:
// it is never predicted, and its queries' losses are finite, without gradients.
constexpr double kUnseenLogProbability = -15.942385152878742;

// Labels count from 0; classes above the largest one among these tasks would have no effect.
int64_t CountClasses(const TaskBatch& tasks) {
  return 1 + std::max(tasks.support.targets.max().item<int64_t>(),
                      tasks.query.targets.max().item<int64_t>());
}

Tensor Membership(const Examples& support, int64_t classes) {
  const Tensor labels = at::one_hot(support.targets, classes).to(support.inputs.scalar_type());
  return support.weights.defined() ? labels * support.weights.to(labels.scalar_type()).unsqueeze(2)
                                   : labels;
}

// Rows of length 1.
Tensor Normalised(const Tensor& x) {
  return x * (x.square().sum(2, /*keepdim=*/true) + 1e-8).rsqrt();
}

}  // namespace

MetricAlgorithm::MetricAlgorithm(const v1::LossSpec& loss, std::unique_ptr<Model> encoder,
                                 bool separate_query_encoder,
                                 absl::Span<const ModelParameter> own_parameters)
    : loss_(loss), encoder_(std::move(encoder)), separate_(separate_query_encoder) {
  AddMetaParameters("model.", encoder_->parameters(), meta_parameters_);
  if (separate_) {
    AddMetaParameters("query_model.", encoder_->parameters(), meta_parameters_);
  }
  AddMetaParameters("context.", own_parameters, meta_parameters_);
}

void MetricAlgorithm::AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool /*detailed*/,
                                 Tensors& updates, TaskSums& sums) const {
  Tensors leaves;
  leaves.reserve(theta.size());
  for (const Tensor& tensor : theta) {
    leaves.push_back(tensor.detach().requires_grad_());
  }
  const Tensor outputs = Classify(leaves, tasks, v1::TRANSDUCTION_SUPPORT_STATISTICS);
  const Tensor losses = TaskLosses(loss_, outputs, tasks.query);
  const Tensors gradients =
      torch::autograd::grad({losses}, leaves, {at::ones_like(losses)}, /*retain_graph=*/false,
                            /*create_graph=*/false, /*allow_unused=*/true);
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < updates.size(); ++i) {
    if (gradients[i].defined()) {
      updates[i].add_(gradients[i]);
    }
  }
  constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
  sums.meta_loss += SumOf(losses);
  sums.meta_accuracy += SumOf(TaskAccuracies(loss_, outputs, tasks.query));
  sums.support_loss_before = kNotMeasured;
  sums.support_loss_after = kNotMeasured;
  sums.query_loss_before = kNotMeasured;
}

void MetricAlgorithm::Evaluate(const Tensors& theta, const TaskBatch& tasks,
                               const EvaluationRule& rule, const EvaluationSink& sink) const {
  const torch::NoGradGuard no_grad;
  const Tensor outputs = Classify(theta, tasks, rule.transduction);
  sink(/*step=*/0, Float64(TaskLosses(loss_, outputs, tasks.query)),
       Float64(TaskAccuracies(loss_, outputs, tasks.query)));
}

absl::Span<const Tensor> MetricAlgorithm::OwnOf(absl::Span<const Tensor> theta) const {
  return theta.subspan((separate_ ? 2 : 1) * encoder_->parameters().size());
}

Tensor MetricAlgorithm::MaskedScores(absl::Span<const Tensor> theta,
                                     const EmbeddedTasks& embedded) const {
  return Scores(embedded, OwnOf(theta)).masked_fill(embedded.unseen(), kLowestScore);
}

Tensor MetricAlgorithm::Classify(absl::Span<const Tensor> theta, const TaskBatch& tasks,
                                 v1::Transduction transduction) const {
  const EmbeddedTasks embedded = Embed(theta, tasks, CountClasses(tasks), transduction);
  return at::log_softmax(MaskedScores(theta, embedded), 2)
      .masked_fill(embedded.unseen(), kUnseenLogProbability);
}

AdaptedTask MetricAlgorithm::Adapt(const Tensors& theta, const OwnTask& task,
                                   const EvaluationRule& rule) const {
  const torch::NoGradGuard no_grad;
  const TaskBatch alone{.support = task.support, .query = task.support};
  const EmbeddedTasks support = Embed(theta, alone, task.classes, v1::TRANSDUCTION_ALL_QUERIES);
  AdaptedTask adapted;
  adapted.support_losses.push_back(
      TaskLosses(loss_, MaskedScores(theta, support), task.support).item<double>());
  adapted.outputs = InParts(task, rule, [&](const TaskBatch& part) {
    return MaskedScores(theta, Embed(theta, part, task.classes, rule.transduction));
  });
  adapted.model = encoder_.get();
  const size_t count = encoder_->parameters().size();
  const auto parameters = absl::MakeConstSpan(theta).subspan(separate_ ? count : 0, count);
  adapted.parameters.assign(parameters.begin(), parameters.end());
  adapted.prefix = separate_ ? "query_model." : "model.";
  adapted.head = Head(support, OwnOf(theta));
  return adapted;
}

EmbeddedTasks MetricAlgorithm::Embed(absl::Span<const Tensor> theta, const TaskBatch& tasks,
                                     int64_t classes, v1::Transduction transduction) const {
  const Tensors shared = ShareAmongTasks(theta, tasks.tasks());
  const size_t count = encoder_->parameters().size();
  const auto parameters = absl::MakeConstSpan(shared).subspan(0, count);
  const auto query_parameters = absl::MakeConstSpan(shared).subspan(separate_ ? count : 0, count);

  EmbeddedTasks embedded;
  embedded.labels = tasks.support.targets;
  embedded.membership = Membership(tasks.support, classes);
  if (transduction == v1::TRANSDUCTION_SUPPORT_STATISTICS) {
    const int64_t support = tasks.support.count();
    const Tensor together =
        encoder_->Forward(query_parameters, at::cat({tasks.support.inputs, tasks.query.inputs}, 1),
                          {.statistics_rows = support});
    embedded.query = together.narrow(1, support, tasks.query.count());
    embedded.support = together.narrow(1, 0, support);
  } else {
    embedded.query = QueryOutputs(*encoder_, {query_parameters.begin(), query_parameters.end()},
                                  tasks, transduction);
  }
  if (separate_ || !embedded.support.defined()) {
    embedded.support = encoder_->Forward(parameters, tasks.support.inputs, {});
  }
  return embedded;
}

absl::StatusOr<std::unique_ptr<Model>> CreateEncoder(const v1::JobSpec& resolved,
                                                     const TaskShape& shape,
                                                     int64_t embedding_size) {
  TaskShape embedding = shape;
  embedding.outputs = embedding_size;
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Model> encoder,
                             CreateModel(resolved.model(), embedding));
  if (!encoder->TakesStatisticsRows()) {
    return absl::InvalidArgumentError(
        "model.torchscript: its outputs for an example depend on the other examples, as batch norm "
        "makes them do; metric methods embed the support set and the queries together, and take a "
        "module with layer or group norm instead");
  }
  return encoder;
}

std::string CosineScript(absl::string_view a, absl::string_view b) {
  const auto normalised = [](absl::string_view x) {
    return absl::StrCat("(", x, " * ((", x, " * ", x, ").sum(1, keepdim=True) + 1e-8).rsqrt())");
  };
  return absl::StrCat("torch.matmul(", normalised(a), ", ", normalised(b), ".t())");
}

Tensor CosineSimilarities(const Tensor& a, const Tensor& b) {
  return MatrixProduct(Normalised(a), Normalised(b).transpose(1, 2));
}

}  // namespace innerloop::meta
