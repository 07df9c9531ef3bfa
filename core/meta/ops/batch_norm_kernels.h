// Batch norm followed by a piecewise linear activation, with its first and second derivative, on
// plain arrays. One thread only inside; may be called from several at once.
//
// For each task and channel, over the task's rows i:
//   m = mean(x), r = 1 / sqrt(var(x) + epsilon), h_i = (x_i - m) r, z_i = scale h_i + shift,
//   y_i = z_i where z_i > 0, else slope z_i          (slope 0: ReLU, 1: no activation).
// m and var are those of the first `statistics_rows` rows.
#pragma once

#include <cstdint>

namespace innerloop::meta {

// Arrays are [tasks, rows, channels]; scale, shift, mean, deviation and their gradients
// [tasks, channels].
struct BatchNormSize {
  int64_t tasks = 0;
  int64_t rows = 0;
  int64_t statistics_rows = 0;  // 1..rows
  int64_t channels = 0;
  double slope = 0;
  double epsilon = 1e-5;
};

// Fills y, mean (m) and inverse_deviation (r).
template <typename T>
struct BatchNormForward {
  const T* x;
  const T* scale;
  const T* shift;
  T* y;
  T* mean;
  T* inverse_deviation;
};

// With p_i = dy_i (1 or slope): the gradients of the inputs from dy.
//   dx_i = scale r (p_i - [i gives statistics] (sum(p) + h_i sum(p h)) / statistics_rows),
//   dscale = sum(p h),  dshift = sum(p).
template <typename T>
struct BatchNormBackward {
  const T* dy;
  const T* x;
  const T* scale;
  const T* y;
  const T* mean;
  const T* inverse_deviation;
  T* dx;
  T* dscale;
  T* dshift;
};

// The gradients of BatchNormBackward's dy, x and scale from those of its dx, dscale and dshift (u,
// u_scale, u_shift), where all rows give statistics. With P(v)_i = v_i - mean(v) - h_i mean(v h)
// and S = sum(u p) - rows (mean(u) mean(p) + mean(u h) mean(p h)):
//   d(dy)_i = (1 or slope) (scale r P(u)_i + u_scale h_i + u_shift)
//   dx_i = -scale r^2 (h_i S / rows + mean(p h) P(u)_i + mean(u h) P(p)_i) + u_scale r P(p)_i
//   dscale = r S.
template <typename T>
struct BatchNormSecond {
  const T* dy;
  const T* x;
  const T* scale;
  const T* y;
  const T* mean;
  const T* inverse_deviation;
  const T* u;
  const T* u_scale;
  const T* u_shift;
  T* ddy;
  T* dx;
  T* dscale;
};

void Compute(const BatchNormSize& size, const BatchNormForward<float>& arrays);
void Compute(const BatchNormSize& size, const BatchNormForward<double>& arrays);
void Compute(const BatchNormSize& size, const BatchNormBackward<float>& arrays);
void Compute(const BatchNormSize& size, const BatchNormBackward<double>& arrays);
void Compute(const BatchNormSize& size, const BatchNormSecond<float>& arrays);
void Compute(const BatchNormSize& size, const BatchNormSecond<double>& arrays);

}  // namespace innerloop::meta
