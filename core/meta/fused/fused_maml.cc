#include "core/meta/fused/fused_maml.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/meta/fused/maml_engine.h"

namespace innerloop::meta {
namespace {

using fused::MamlRule;

fused::Activation ActivationOf(const v1::ModelSpec& model) {
  switch (model.mlp().activation()) {
    case v1::ACTIVATION_TANH:
      return fused::Activation::kTanh;
    case v1::ACTIVATION_LEAKY_RELU:
      return fused::Activation::kLeakyRelu;
    default:
      return fused::Activation::kRelu;
  }
}

MamlRule::Order OrderOf(v1::Maml::Order order) {
  switch (order) {
    case v1::Maml::ORDER_FIRST:
      return MamlRule::Order::kFirst;
    case v1::Maml::ORDER_HVP:
      return MamlRule::Order::kSecondRecomputed;
    default:
      return MamlRule::Order::kSecond;
  }
}

bool IsPlain(const Tensor& tensor, torch::ScalarType type) {
  return tensor.device().is_cpu() && tensor.scalar_type() == type;
}

bool ArePlain(const Tensors& tensors) {
  for (const Tensor& tensor : tensors) {
    if (!IsPlain(tensor, torch::kFloat32)) {
      return false;
    }
  }
  return true;
}

// Tensors' values as the kernels read them, and what keeps these alive.
class Arrays {
 public:
  const float* Floats(const Tensor& tensor) {
    return Keep(tensor.to(torch::kFloat32)).const_data_ptr<float>();
  }
  fused::ConstParameterArrays Parameters(const Tensors& tensors) {
    fused::ConstParameterArrays arrays;
    for (const Tensor& tensor : tensors) {
      arrays.push_back(Floats(tensor));
    }
    return arrays;
  }
  fused::ExampleArrays Of(const Examples& examples, int64_t outputs) {
    fused::ExampleArrays arrays;
    arrays.count = static_cast<size_t>(examples.count());
    arrays.inputs = Floats(examples.inputs);
    arrays.weights = examples.weights.defined() ? Floats(examples.weights) : nullptr;
    if (examples.targets.is_floating_point()) {
      TORCH_CHECK(examples.targets.numel() == examples.tasks() * examples.count() * outputs,
                  "targets of shape ", examples.targets.sizes(), "; the model has ", outputs,
                  " outputs");
      arrays.values = Floats(examples.targets);
      return arrays;
    }
    const Tensor& classes = Keep(examples.targets);
    arrays.classes = classes.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < classes.numel(); ++i) {
      TORCH_CHECK(arrays.classes[i] >= 0 && arrays.classes[i] < outputs, "class ",
                  arrays.classes[i], "; the model has ", outputs, " outputs");
    }
    return arrays;
  }

 private:
  const Tensor& Keep(const Tensor& tensor) { return kept_.emplace_back(tensor.contiguous()); }
  Tensors kept_;
};

class FusedMaml final : public Algorithm {
 public:
  FusedMaml(fused::MlpShape shape, MamlRule rule, std::unique_ptr<Algorithm> autograd)
      : shape_(std::move(shape)), rule_(rule), autograd_(std::move(autograd)) {}

  const std::vector<MetaParameter>& meta_parameters() const override {
    return autograd_->meta_parameters();
  }
  const Model& model() const override { return autograd_->model(); }

  void AddUpdates(const Tensors& theta, const TaskBatch& tasks, bool detailed, Tensors& updates,
                  TaskSums& sums) const override {
    if (!Takes(theta, tasks) || !ArePlain(updates)) {
      autograd_->AddUpdates(theta, tasks, detailed, updates, sums);
      return;
    }
    Arrays arrays;
    Tensors contiguous;
    fused::ParameterArrays update_arrays;
    for (const Tensor& update : updates) {
      contiguous.push_back(update.contiguous());
      update_arrays.push_back(contiguous.back().data_ptr<float>());
    }
    const fused::MamlMeasures measures = fused::AddMamlUpdates(
        shape_, rule_, arrays.Parameters(theta), TasksOf(tasks, arrays), detailed, update_arrays);
    for (size_t i = 0; i < updates.size(); ++i) {
      if (!updates[i].is_same(contiguous[i])) {
        updates[i].copy_(contiguous[i]);
      }
    }
    constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
    sums.meta_loss += measures.meta_loss;
    sums.meta_accuracy += HasAccuracy() ? measures.meta_accuracy : kNotMeasured;
    sums.support_loss_before += detailed ? measures.support_loss_before : kNotMeasured;
    sums.support_loss_after += detailed ? measures.support_loss_after : kNotMeasured;
    sums.query_loss_before += detailed ? measures.query_loss_before : kNotMeasured;
  }

  // Without batch norm the kinds of transduction agree.
  void Evaluate(const Tensors& theta, const TaskBatch& tasks, const EvaluationRule& rule,
                const EvaluationSink& sink) const override {
    // The kernels take steps as they are; looking back is rare and not in training's way.
    if (!Takes(theta, tasks) || rule.line_search > 0) {
      autograd_->Evaluate(theta, tasks, rule, sink);
      return;
    }
    Arrays arrays;
    MamlRule kernel_rule = rule_;
    kernel_rule.inner_steps = static_cast<size_t>(rule.steps);
    const std::vector<int64_t> size = {rule.steps + 1, tasks.support.tasks()};
    const Tensor losses = torch::zeros(size, torch::kFloat64);
    const Tensor accuracies = torch::zeros(size, torch::kFloat64);
    fused::EvaluateMaml(shape_, kernel_rule, arrays.Parameters(theta), TasksOf(tasks, arrays),
                        losses.data_ptr<double>(), accuracies.data_ptr<double>());
    for (int64_t step = 0; step <= rule.steps; ++step) {
      sink(step, losses[step], HasAccuracy() ? accuracies[step] : Tensor());
    }
  }

  // One task is no work for the kernels, which give no outputs.
  AdaptedTask Adapt(const Tensors& theta, const OwnTask& task,
                    const EvaluationRule& rule) const override {
    return autograd_->Adapt(theta, task, rule);
  }

 private:
  bool HasAccuracy() const { return shape_.loss == fused::Loss::kCrossEntropy; }

  bool TakesTargets(const Tensor& targets) const {
    return IsPlain(targets, HasAccuracy() ? torch::kInt64 : torch::kFloat32);
  }
  bool Takes(const Tensors& theta, const TaskBatch& tasks) const {
    return ArePlain(theta) && IsPlain(tasks.support.inputs, torch::kFloat32) &&
           IsPlain(tasks.query.inputs, torch::kFloat32) && TakesTargets(tasks.support.targets) &&
           TakesTargets(tasks.query.targets);
  }

  fused::TaskArrays TasksOf(const TaskBatch& tasks, Arrays& arrays) const {
    const auto outputs = static_cast<int64_t>(shape_.last().outputs);
    return {static_cast<size_t>(tasks.support.tasks()), arrays.Of(tasks.support, outputs),
            arrays.Of(tasks.query, outputs)};
  }

  const fused::MlpShape shape_;
  const MamlRule rule_;
  const std::unique_ptr<Algorithm> autograd_;
};

// Of the inputs, the hidden layers and the outputs.
absl::StatusOr<std::vector<size_t>> WidthsOf(const std::vector<MetaParameter>& parameters) {
  std::vector<size_t> widths;
  for (size_t i = 0; i + 1 < parameters.size(); i += 2) {
    const v1::TensorSpec& weight = parameters[i].spec;
    const v1::TensorSpec& bias = parameters[i + 1].spec;
    if (weight.shape_size() != 2 || bias.shape_size() != 1 || bias.shape(0) != weight.shape(1) ||
        (!widths.empty() && static_cast<int64_t>(widths.back()) != weight.shape(0))) {
      return absl::InternalError(
          absl::StrCat("the fused engine met ", weight.name(), " and ", bias.name(),
                       ", which are not the weights and biases of an affine layer"));
    }
    if (widths.empty()) {
      widths.push_back(static_cast<size_t>(weight.shape(0)));
    }
    widths.push_back(static_cast<size_t>(weight.shape(1)));
  }
  return widths;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Algorithm>> CreateFusedMaml(const v1::JobSpec& resolved,
                                                           std::unique_ptr<Algorithm> autograd) {
  absl::StatusOr<std::vector<size_t>> widths = WidthsOf(autograd->meta_parameters());
  if (!widths.ok()) {
    return widths.status();
  }
  const v1::Maml& maml = resolved.algorithm().maml();
  MamlRule rule;
  rule.order = OrderOf(maml.order());
  rule.inner_steps = maml.inner_steps();
  rule.learning_rate = static_cast<float>(maml.inner_optimizer().sgd().learning_rate());
  const fused::Loss loss = resolved.loss().kind() == v1::LossSpec::KIND_MSE
                               ? fused::Loss::kMse
                               : fused::Loss::kCrossEntropy;
  return std::make_unique<FusedMaml>(
      fused::MakeMlpShape(*widths, ActivationOf(resolved.model()), loss), rule,
      std::move(autograd));
}

}  // namespace innerloop::meta
