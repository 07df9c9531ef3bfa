// What the fused kernels are tested against: the same mathematics as plain loops in float64, with
// Hessian-vector products by finite differences of the gradient.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/meta/fused/mlp_shape.h"

namespace innerloop::meta::fused {

using Values = std::vector<double>;

// One task's support or query set.
struct PlainExamples {
  size_t count = 0;
  Values inputs;   // [count, inputs]
  Values targets;  // [count, outputs]; for cross-entropy rows of zeros with a one
  Values shares;   // [count]
};

struct PlainLoss {
  double value = 0;
  double accuracy = 0;
  Values gradient;
};

// Parameters are one vector: weights [inputs, outputs] and biases of each layer in turn.
class PlainMlp {
 public:
  PlainMlp(std::vector<size_t> widths, Activation activation, Loss loss)
      : widths_(std::move(widths)), activation_(activation), loss_(loss) {}

  size_t size() const {
    size_t size = 0;
    for (size_t l = 0; l + 1 < widths_.size(); ++l) {
      size += (widths_[l] + 1) * widths_[l + 1];
    }
    return size;
  }

  PlainLoss LossAt(const Values& parameters, const PlainExamples& examples) const {
    PlainLoss result;
    result.gradient.assign(parameters.size(), 0);
    for (size_t i = 0; i < examples.count; ++i) {
      AddExample(parameters, examples, i, result);
    }
    return result;
  }

  // Parameters after each of 0..steps inner steps.
  std::vector<Values> Adapt(const Values& theta, const PlainExamples& support, size_t steps,
                            double rate) const {
    std::vector<Values> path = {theta};
    for (size_t k = 0; k < steps; ++k) {
      path.push_back(Sum(path.back(), -rate, LossAt(path.back(), support).gradient));
    }
    return path;
  }

  Values MetaGradient(const Values& theta, const PlainExamples& support, const PlainExamples& query,
                      size_t steps, double rate, bool first_order) const {
    const std::vector<Values> path = Adapt(theta, support, steps, rate);
    Values v = LossAt(path.back(), query).gradient;
    for (size_t k = first_order ? 0 : steps; k > 0; --k) {
      v = Sum(v, -rate, HessianProduct(path[k - 1], support, v));
    }
    return v;
  }

  static Values Sum(const Values& a, double scale, const Values& b) {
    Values sum = a;
    for (size_t i = 0; i < a.size(); ++i) {
      sum[i] += scale * b[i];
    }
    return sum;
  }

  static double Norm(const Values& v) {
    double sum = 0;
    for (const double x : v) {
      sum += x * x;
    }
    return std::sqrt(sum);
  }

 private:
  // Central differences: an error of about 1e-9 of the product, as long as no ReLU changes sides.
  Values HessianProduct(const Values& at, const PlainExamples& examples, const Values& v) const {
    const double step = 1e-6 / std::max(Norm(v), 1e-30);
    Values product = Sum(LossAt(Sum(at, step, v), examples).gradient, -1,
                         LossAt(Sum(at, -step, v), examples).gradient);
    for (double& x : product) {
      x /= 2 * step;
    }
    return product;
  }

  double Activate(double z) const {
    switch (activation_) {
      case Activation::kTanh:
        return std::tanh(z);
      case Activation::kLeakyRelu:
        return z > 0 ? z : kLeakySlope * z;
      default:
        return std::max(z, 0.0);
    }
  }
  double Slope(double z) const {
    switch (activation_) {
      case Activation::kTanh:
        return 1 - std::tanh(z) * std::tanh(z);
      case Activation::kLeakyRelu:
        return z > 0 ? 1 : kLeakySlope;
      default:
        return z > 0 ? 1 : 0;
    }
  }

  // The example's loss, and its derivative by the outputs z in their place.
  double OutputLoss(const double* targets, Values& z) const {
    double loss = 0;
    if (loss_ == Loss::kMse) {
      for (size_t o = 0; o < z.size(); ++o) {
        const double error = z[o] - targets[o];
        loss += error * error / static_cast<double>(z.size());
        z[o] = 2 * error / static_cast<double>(z.size());
      }
      return loss;
    }
    double total = 0;
    for (const double x : z) {
      total += std::exp(x);
    }
    for (size_t o = 0; o < z.size(); ++o) {
      const double probability = std::exp(z[o]) / total;
      loss -= targets[o] * std::log(probability);
      z[o] = probability - targets[o];
    }
    return loss;
  }

  void AddExample(const Values& parameters, const PlainExamples& examples, size_t i,
                  PlainLoss& result) const {
    const size_t layers = widths_.size() - 1;
    const double* input = examples.inputs.data() + i * widths_[0];
    const double* target = examples.targets.data() + i * widths_[layers];
    std::vector<Values> a = {Values(input, input + widths_[0])};
    std::vector<Values> z(layers);
    std::vector<size_t> offsets(layers);
    size_t offset = 0;
    for (size_t l = 0; l < layers; ++l) {
      offsets[l] = offset;
      const size_t in = widths_[l];
      const size_t out = widths_[l + 1];
      a.emplace_back(out);
      for (size_t o = 0; o < out; ++o) {
        double sum = parameters[offset + in * out + o];
        for (size_t j = 0; j < in; ++j) {
          sum += a[l][j] * parameters[offset + j * out + o];
        }
        z[l].push_back(sum);
        a[l + 1][o] = Activate(sum);
      }
      offset += (in + 1) * out;
    }
    Values delta = z.back();
    if (loss_ == Loss::kCrossEntropy &&
        target[std::max_element(delta.begin(), delta.end()) - delta.begin()] == 1) {
      result.accuracy += examples.shares[i];
    }
    result.value += examples.shares[i] * OutputLoss(target, delta);
    for (size_t l = layers; l-- > 0;) {
      const size_t in = widths_[l];
      const size_t out = widths_[l + 1];
      Values below(in, 0);
      for (size_t o = 0; o < out; ++o) {
        const double d = examples.shares[i] * delta[o];
        result.gradient[offsets[l] + in * out + o] += d;
        for (size_t j = 0; j < in; ++j) {
          result.gradient[offsets[l] + j * out + o] += d * a[l][j];
          below[j] += delta[o] * parameters[offsets[l] + j * out + o];
        }
      }
      for (size_t j = 0; l > 0 && j < in; ++j) {
        below[j] *= Slope(z[l - 1][j]);
      }
      delta = below;
    }
  }

  const std::vector<size_t> widths_;
  const Activation activation_;
  const Loss loss_;
};

}  // namespace innerloop::meta::fused
