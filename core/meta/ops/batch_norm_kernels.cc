#include "core/meta/ops/batch_norm_kernels.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/meta/ops/batch_norm_kernels.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, as Highway wants it.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Each Column handles as many neighbouring channels of one task as a vector holds: `at` is the
// place of the first row's values, `channel` that of the channels' in the [tasks, channels] arrays.

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void Column(D d, const BatchNormSize& size, const BatchNormForward<T>& a, int64_t at,
                       int64_t channel) {
  const int64_t end = at + size.rows * size.channels;
  const int64_t statistics_end = at + size.statistics_rows * size.channels;
  const int64_t step = size.channels;
  const auto inverse_rows = hn::Set(d, T{1} / static_cast<T>(size.statistics_rows));
  auto sum = hn::Zero(d);
  for (int64_t i = at; i < statistics_end; i += step) {
    sum = hn::Add(sum, hn::LoadU(d, a.x + i));
  }
  const auto mean = hn::Mul(sum, inverse_rows);
  auto squares = hn::Zero(d);
  for (int64_t i = at; i < statistics_end; i += step) {
    const auto centred = hn::Sub(hn::LoadU(d, a.x + i), mean);
    squares = hn::MulAdd(centred, centred, squares);
  }
  const auto variance = hn::MulAdd(squares, inverse_rows, hn::Set(d, static_cast<T>(size.epsilon)));
  const auto r = hn::Div(hn::Set(d, T{1}), hn::Sqrt(variance));
  hn::StoreU(mean, d, a.mean + channel);
  hn::StoreU(r, d, a.inverse_deviation + channel);
  const auto factor = hn::Mul(r, hn::LoadU(d, a.scale + channel));
  const auto shift = hn::LoadU(d, a.shift + channel);
  const auto slope = hn::Set(d, static_cast<T>(size.slope));
  for (int64_t i = at; i < end; i += step) {
    const auto z = hn::MulAdd(hn::Sub(hn::LoadU(d, a.x + i), mean), factor, shift);
    hn::StoreU(hn::IfThenElse(hn::Gt(z, hn::Zero(d)), z, hn::Mul(slope, z)), d, a.y + i);
  }
}

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void Column(D d, const BatchNormSize& size, const BatchNormBackward<T>& a, int64_t at,
                       int64_t channel) {
  const int64_t end = at + size.rows * size.channels;
  const int64_t statistics_end = at + size.statistics_rows * size.channels;
  const int64_t step = size.channels;
  const auto zero = hn::Zero(d);
  const auto inverse_rows = hn::Set(d, T{1} / static_cast<T>(size.statistics_rows));
  const auto slope = hn::Set(d, static_cast<T>(size.slope));
  const auto mean = hn::LoadU(d, a.mean + channel);
  const auto r = hn::LoadU(d, a.inverse_deviation + channel);
  auto sum_p = zero;
  auto sum_ph = zero;
  for (int64_t i = at; i < end; i += step) {
    const auto dy = hn::LoadU(d, a.dy + i);
    const auto p = hn::IfThenElse(hn::Gt(hn::LoadU(d, a.y + i), zero), dy, hn::Mul(slope, dy));
    const auto h = hn::Mul(hn::Sub(hn::LoadU(d, a.x + i), mean), r);
    sum_p = hn::Add(sum_p, p);
    sum_ph = hn::MulAdd(p, h, sum_ph);
  }
  hn::StoreU(sum_ph, d, a.dscale + channel);
  hn::StoreU(sum_p, d, a.dshift + channel);
  const auto mean_p = hn::Mul(sum_p, inverse_rows);
  const auto mean_ph = hn::Mul(sum_ph, inverse_rows);
  const auto factor = hn::Mul(r, hn::LoadU(d, a.scale + channel));
  for (int64_t i = at; i < statistics_end; i += step) {
    const auto dy = hn::LoadU(d, a.dy + i);
    const auto p = hn::IfThenElse(hn::Gt(hn::LoadU(d, a.y + i), zero), dy, hn::Mul(slope, dy));
    const auto h = hn::Mul(hn::Sub(hn::LoadU(d, a.x + i), mean), r);
    const auto projected = hn::NegMulAdd(h, mean_ph, hn::Sub(p, mean_p));
    hn::StoreU(hn::Mul(factor, projected), d, a.dx + i);
  }
  for (int64_t i = statistics_end; i < end; i += step) {
    const auto dy = hn::LoadU(d, a.dy + i);
    const auto p = hn::IfThenElse(hn::Gt(hn::LoadU(d, a.y + i), zero), dy, hn::Mul(slope, dy));
    hn::StoreU(hn::Mul(factor, p), d, a.dx + i);
  }
}

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void Column(D d, const BatchNormSize& size, const BatchNormSecond<T>& a, int64_t at,
                       int64_t channel) {
  const int64_t end = at + size.rows * size.channels;
  const int64_t step = size.channels;
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, T{1});
  const auto rows = hn::Set(d, static_cast<T>(size.rows));
  const auto inverse_rows = hn::Div(one, rows);
  const auto slope = hn::Set(d, static_cast<T>(size.slope));
  const auto mean = hn::LoadU(d, a.mean + channel);
  const auto r = hn::LoadU(d, a.inverse_deviation + channel);
  auto mean_p = zero;
  auto mean_ph = zero;
  auto mean_u = zero;
  auto mean_uh = zero;
  auto sum_up = zero;
  for (int64_t i = at; i < end; i += step) {
    const auto dy = hn::LoadU(d, a.dy + i);
    const auto u = hn::LoadU(d, a.u + i);
    const auto p = hn::IfThenElse(hn::Gt(hn::LoadU(d, a.y + i), zero), dy, hn::Mul(slope, dy));
    const auto h = hn::Mul(hn::Sub(hn::LoadU(d, a.x + i), mean), r);
    mean_p = hn::Add(mean_p, p);
    mean_ph = hn::MulAdd(p, h, mean_ph);
    mean_u = hn::Add(mean_u, u);
    mean_uh = hn::MulAdd(u, h, mean_uh);
    sum_up = hn::MulAdd(u, p, sum_up);
  }
  mean_p = hn::Mul(mean_p, inverse_rows);
  mean_ph = hn::Mul(mean_ph, inverse_rows);
  mean_u = hn::Mul(mean_u, inverse_rows);
  mean_uh = hn::Mul(mean_uh, inverse_rows);
  const auto s = hn::NegMulAdd(rows, hn::MulAdd(mean_u, mean_p, hn::Mul(mean_uh, mean_ph)), sum_up);
  hn::StoreU(hn::Mul(r, s), d, a.dscale + channel);
  const auto mean_s = hn::Mul(s, inverse_rows);
  const auto factor = hn::Mul(r, hn::LoadU(d, a.scale + channel));
  const auto factor_r = hn::Mul(factor, r);
  const auto u_scale = hn::LoadU(d, a.u_scale + channel);
  const auto u_scale_r = hn::Mul(u_scale, r);
  const auto u_shift = hn::LoadU(d, a.u_shift + channel);
  for (int64_t i = at; i < end; i += step) {
    const auto dy = hn::LoadU(d, a.dy + i);
    const auto u = hn::LoadU(d, a.u + i);
    const auto active = hn::Gt(hn::LoadU(d, a.y + i), zero);
    const auto p = hn::IfThenElse(active, dy, hn::Mul(slope, dy));
    const auto h = hn::Mul(hn::Sub(hn::LoadU(d, a.x + i), mean), r);
    const auto projected_p = hn::NegMulAdd(h, mean_ph, hn::Sub(p, mean_p));
    const auto projected_u = hn::NegMulAdd(h, mean_uh, hn::Sub(u, mean_u));
    const auto ddy = hn::MulAdd(factor, projected_u, hn::MulAdd(u_scale, h, u_shift));
    hn::StoreU(hn::IfThenElse(active, ddy, hn::Mul(slope, ddy)), d, a.ddy + i);
    const auto inner =
        hn::MulAdd(h, mean_s, hn::MulAdd(mean_ph, projected_u, hn::Mul(mean_uh, projected_p)));
    hn::StoreU(hn::NegMulAdd(factor_r, inner, hn::Mul(u_scale_r, projected_p)), d, a.dx + i);
  }
}

template <typename T, class Arrays>
HWY_INLINE void ForEachColumn(const BatchNormSize& size, const Arrays& arrays) {
  const hn::ScalableTag<T> wide;
  const hn::CappedTag<T, 1> narrow;
  const auto lanes = static_cast<int64_t>(hn::Lanes(wide));
  for (int64_t task = 0; task < size.tasks; ++task) {
    const int64_t at = task * size.rows * size.channels;
    const int64_t channel = task * size.channels;
    int64_t c = 0;
    for (; c + lanes <= size.channels; c += lanes) {
      Column(wide, size, arrays, at + c, channel + c);
    }
    for (; c < size.channels; ++c) {
      Column(narrow, size, arrays, at + c, channel + c);
    }
  }
}

void ForwardFloat(const BatchNormSize& size, const BatchNormForward<float>& arrays) {
  ForEachColumn<float>(size, arrays);
}
void ForwardDouble(const BatchNormSize& size, const BatchNormForward<double>& arrays) {
  ForEachColumn<double>(size, arrays);
}
void BackwardFloat(const BatchNormSize& size, const BatchNormBackward<float>& arrays) {
  ForEachColumn<float>(size, arrays);
}
void BackwardDouble(const BatchNormSize& size, const BatchNormBackward<double>& arrays) {
  ForEachColumn<double>(size, arrays);
}
void SecondFloat(const BatchNormSize& size, const BatchNormSecond<float>& arrays) {
  ForEachColumn<float>(size, arrays);
}
void SecondDouble(const BatchNormSize& size, const BatchNormSecond<double>& arrays) {
  ForEachColumn<double>(size, arrays);
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace innerloop::meta {

HWY_EXPORT(ForwardFloat);
HWY_EXPORT(ForwardDouble);
HWY_EXPORT(BackwardFloat);
HWY_EXPORT(BackwardDouble);
HWY_EXPORT(SecondFloat);
HWY_EXPORT(SecondDouble);

void Compute(const BatchNormSize& size, const BatchNormForward<float>& arrays) {
  HWY_DYNAMIC_DISPATCH(ForwardFloat)(size, arrays);
}
void Compute(const BatchNormSize& size, const BatchNormForward<double>& arrays) {
  HWY_DYNAMIC_DISPATCH(ForwardDouble)(size, arrays);
}
void Compute(const BatchNormSize& size, const BatchNormBackward<float>& arrays) {
  HWY_DYNAMIC_DISPATCH(BackwardFloat)(size, arrays);
}
void Compute(const BatchNormSize& size, const BatchNormBackward<double>& arrays) {
  HWY_DYNAMIC_DISPATCH(BackwardDouble)(size, arrays);
}
void Compute(const BatchNormSize& size, const BatchNormSecond<float>& arrays) {
  HWY_DYNAMIC_DISPATCH(SecondFloat)(size, arrays);
}
void Compute(const BatchNormSize& size, const BatchNormSecond<double>& arrays) {
  HWY_DYNAMIC_DISPATCH(SecondDouble)(size, arrays);
}

}  // namespace innerloop::meta
#endif  // HWY_ONCE
