// Losses of a task's outputs: values, gradients, and the gradients' derivatives along a direction.
// Compiled once for each instruction set; includes no LibTorch.
#if defined(INNERLOOP_FUSED_LOSSES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INNERLOOP_FUSED_LOSSES_INL_H_
#undef INNERLOOP_FUSED_LOSSES_INL_H_
#else
#define INNERLOOP_FUSED_LOSSES_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/meta/fused/example_rows.h"
#include "core/meta/fused/small_gemm-inl.h"
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {

// The mean squared error over rows and outputs; dz is its gradient.
inline double SquaredError(const LayerShape& last, const LossRows& rows, const float* z,
                           float* dz) {
  const FloatTag d;
  const size_t width = last.padded_outputs;
  const float per_output = 1.0f / static_cast<float>(last.outputs);
  Vector sum = hn::Zero(d);
  for (size_t i = 0; i < rows.count; ++i) {
    const Vector scale = hn::Set(d, rows.shares[i] * per_output);
    for (size_t j = i * width; j < (i + 1) * width; j += kLanes) {
      const Vector error = hn::Sub(hn::Load(d, z + j), hn::Load(d, rows.values + j));
      const Vector scaled = hn::Mul(error, scale);
      sum = hn::MulAdd(error, scaled, sum);
      hn::Store(hn::Add(scaled, scaled), d, dz + j);
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// The mean cross-entropy of softmax(z) against the classes; dz is its gradient.
inline double CrossEntropy(const LayerShape& last, const LossRows& rows, const float* z,
                           float* probabilities, float* dz) {
  const FloatTag d;
  const size_t width = last.padded_outputs;
  double loss = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    const float* row = z + i * width;
    float* p = probabilities + i * width;
    float* delta = dz + i * width;
    float largest = row[0];
    for (size_t o = 1; o < last.outputs; ++o) {
      largest = std::max(largest, row[o]);
    }
    const Vector top = hn::Set(d, largest);
    Vector sum = hn::Zero(d);
    for (size_t j = 0; j < width; j += kLanes) {
      const Vector x = hn::Sub(hn::Load(d, row + j), top);
      // Highway's Exp of a NaN is 0.
      const Vector e = hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
      // The padding counts as outputs of minus infinity.
      const size_t left = last.outputs > j ? last.outputs - j : 0;
      const Vector real = hn::IfThenElseZero(hn::FirstN(d, left), e);
      hn::Store(real, d, p + j);
      sum = hn::Add(sum, real);
    }
    const float total = hn::GetLane(hn::SumOfLanes(d, sum));
    const size_t target = static_cast<size_t>(rows.classes[i]);
    const float share = rows.shares[i];
    loss += static_cast<double>(share) * (std::log(total) - (row[target] - largest));
    const Vector normaliser = hn::Set(d, 1.0f / total);
    const Vector scale = hn::Set(d, share);
    for (size_t j = 0; j < width; j += kLanes) {
      const Vector probability = hn::Mul(hn::Load(d, p + j), normaliser);
      hn::Store(probability, d, p + j);
      hn::Store(hn::Mul(probability, scale), d, delta + j);
    }
    delta[target] -= share;
  }
  return loss;
}

// The task's loss at outputs z [n, padded_outputs], each row counting by its share; dz is its
// gradient, and `probabilities` keeps what LossTangent needs (cross-entropy only).
inline double LossGradient(const MlpShape& shape, const LossRows& rows, const float* z,
                           float* probabilities, float* dz) {
  return shape.loss == Loss::kMse ? SquaredError(shape.last(), rows, z, dz)
                                  : CrossEntropy(shape.last(), rows, z, probabilities, dz);
}

// r_dz = the derivative of dz when z moves along r_z. MSE: 2 r_z / outputs;
// cross-entropy: p * (r_z - <p, r_z>); times the rows' shares.
inline void LossTangent(const MlpShape& shape, const LossRows& rows, const float* probabilities,
                        const float* r_z, float* r_dz) {
  const FloatTag d;
  const size_t width = shape.last().padded_outputs;
  for (size_t i = 0; i < rows.count; ++i) {
    const size_t first = i * width;
    if (shape.loss == Loss::kMse) {
      const float factor = 2.0f / static_cast<float>(shape.last().outputs);
      const Vector scale = hn::Set(d, rows.shares[i] * factor);
      for (size_t j = first; j < first + width; j += kLanes) {
        hn::Store(hn::Mul(hn::Load(d, r_z + j), scale), d, r_dz + j);
      }
      continue;
    }
    Vector sum = hn::Zero(d);
    for (size_t j = first; j < first + width; j += kLanes) {
      sum = hn::MulAdd(hn::Load(d, probabilities + j), hn::Load(d, r_z + j), sum);
    }
    const Vector mean = hn::SumOfLanes(d, sum);
    const Vector scale = hn::Set(d, rows.shares[i]);
    for (size_t j = first; j < first + width; j += kLanes) {
      const Vector p = hn::Mul(hn::Load(d, probabilities + j), scale);
      hn::Store(hn::Mul(p, hn::Sub(hn::Load(d, r_z + j), mean)), d, r_dz + j);
    }
  }
}

// The share of rows whose largest output is their class.
inline double Accuracy(const LayerShape& last, const LossRows& rows, const float* z) {
  double right = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    const float* row = z + i * last.padded_outputs;
    const float* largest = std::max_element(row, row + last.outputs);
    if (largest - row == rows.classes[i]) {
      right += rows.shares[i];
    }
  }
  return right;
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#endif  // include guard of each instruction set
