#include "core/meta/objectives/loss.h"

namespace innerloop::meta {
namespace {

// [T, n] -> [T].
Tensor TaskMeans(const Tensor& values, const Tensor& weights) {
  if (!weights.defined()) {
    return values.mean(1);
  }
  const Tensor counts = weights.to(values.scalar_type());
  const Tensor total = counts.sum(1);
  // A task of padding alone counts 0. where, because 0 times a padded example's infinity is no 0.
  const Tensor sums = at::where(counts != 0, values * counts, 0).sum(1);
  return sums / at::where(total > 0, total, 1);
}

// Real-valued targets in the outputs' shape; classes become rows of zeros with a one.
Tensor RealTargets(const Tensor& outputs, const Tensor& targets) {
  return targets.is_floating_point() ? targets.to(outputs.scalar_type())
                                     : at::one_hot(targets, outputs.size(2)).to(outputs);
}

// [T, n].
Tensor ExampleLosses(const v1::LossSpec& loss, const Tensor& outputs, const Tensor& targets) {
  switch (loss.kind()) {
    case v1::LossSpec::KIND_CROSS_ENTROPY:
      return -at::log_softmax(outputs, 2).gather(2, targets.unsqueeze(2)).squeeze(2);
    case v1::LossSpec::KIND_MSE:
      return (outputs - RealTargets(outputs, targets)).square().mean(2);
    case v1::LossSpec::KIND_HUBER: {
      const double delta = loss.huber_delta();
      const Tensor error = outputs - RealTargets(outputs, targets);
      // error^2 / 2 up to delta, delta (|error| - delta / 2) beyond, without a kink at 0.
      const Tensor clamped = error.clamp(-delta, delta);
      return (clamped * (error - 0.5 * clamped)).mean(2);
    }
    case v1::LossSpec::KIND_BINARY_CROSS_ENTROPY:
      // -(t log s(o) + (1 - t) log s(-o)) with log s(-o) = log s(o) - o, which never overflows.
      return ((1 - RealTargets(outputs, targets)) * outputs - at::log_sigmoid(outputs)).mean(2);
    default:
      break;
  }
  TORCH_CHECK(false, "unknown loss ", static_cast<int>(loss.kind()));
}

}  // namespace

Tensor TaskLosses(const v1::LossSpec& loss, const Tensor& outputs, const Examples& examples) {
  return TaskMeans(ExampleLosses(loss, outputs, examples.targets), examples.weights);
}

Tensor TaskAccuracies(const v1::LossSpec& loss, const Tensor& outputs, const Examples& examples) {
  const bool classes = loss.kind() == v1::LossSpec::KIND_CROSS_ENTROPY ||
                       loss.kind() == v1::LossSpec::KIND_BINARY_CROSS_ENTROPY;
  if (!classes) {
    return {};
  }
  const at::NoGradGuard no_grad;
  const Tensor right = outputs.argmax(2) == examples.targets;
  return TaskMeans(right.to(outputs.scalar_type()), examples.weights);
}

}  // namespace innerloop::meta
