// Activations and their derivatives, in terms of the activation's value a = f(z). Compiled once for
// each instruction set; includes no LibTorch. All of them leave the rows' padding zero.
#if defined(INNERLOOP_FUSED_ACTIVATIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INNERLOOP_FUSED_ACTIVATIONS_INL_H_
#undef INNERLOOP_FUSED_ACTIVATIONS_INL_H_
#else
#define INNERLOOP_FUSED_ACTIVATIONS_INL_H_
#endif

#include "core/meta/fused/small_gemm-inl.h"
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {

// Whether the second derivative is anything but 0.
inline bool IsCurved(Activation activation) { return activation == Activation::kTanh; }

// z = f(z). A NaN stays one.
inline void Activate(Activation activation, float* z, size_t size) {
  const FloatTag d;
  const Vector zero = hn::Zero(d);
  switch (activation) {
    case Activation::kRelu:
      for (size_t j = 0; j < size; j += kLanes) {
        const Vector x = hn::Load(d, z + j);
        hn::Store(hn::IfThenZeroElse(hn::Lt(x, zero), x), d, z + j);
      }
      return;
    case Activation::kLeakyRelu: {
      const Vector slope = hn::Set(d, kLeakySlope);
      for (size_t j = 0; j < size; j += kLanes) {
        const Vector x = hn::Load(d, z + j);
        hn::Store(hn::IfThenElse(hn::Lt(x, zero), hn::Mul(x, slope), x), d, z + j);
      }
      return;
    }
    case Activation::kTanh:
      for (size_t j = 0; j < size; j += kLanes) {
        hn::Store(hn::Tanh(d, hn::Load(d, z + j)), d, z + j);
      }
      return;
  }
}

// x = f'(z) * x.
inline void MultiplyBySlope(Activation activation, const float* HWY_RESTRICT a,
                            float* HWY_RESTRICT x, size_t size) {
  const FloatTag d;
  const Vector zero = hn::Zero(d);
  switch (activation) {
    case Activation::kRelu:
      for (size_t j = 0; j < size; j += kLanes) {
        const auto on = hn::Gt(hn::Load(d, a + j), zero);
        hn::Store(hn::IfThenElseZero(on, hn::Load(d, x + j)), d, x + j);
      }
      return;
    case Activation::kLeakyRelu: {
      const Vector slope = hn::Set(d, kLeakySlope);
      for (size_t j = 0; j < size; j += kLanes) {
        const auto on = hn::Gt(hn::Load(d, a + j), zero);
        const Vector v = hn::Load(d, x + j);
        hn::Store(hn::IfThenElse(on, v, hn::Mul(v, slope)), d, x + j);
      }
      return;
    }
    case Activation::kTanh:
      for (size_t j = 0; j < size; j += kLanes) {
        const Vector h = hn::Load(d, a + j);
        const Vector slope = hn::NegMulAdd(h, h, hn::Set(d, 1.0f));
        hn::Store(hn::Mul(slope, hn::Load(d, x + j)), d, x + j);
      }
      return;
  }
}

// x = x + f''(z) * pre * da, where dz = f'(z) * da; for tanh f'' = -2 a f'.
inline void AddCurvature(const float* HWY_RESTRICT a, const float* HWY_RESTRICT pre,
                         const float* HWY_RESTRICT dz, float* HWY_RESTRICT x, size_t size) {
  const FloatTag d;
  for (size_t j = 0; j < size; j += kLanes) {
    const Vector product = hn::Mul(hn::Load(d, pre + j), hn::Load(d, dz + j));
    const Vector twice = hn::Mul(hn::Set(d, 2.0f), hn::Load(d, a + j));
    hn::Store(hn::NegMulAdd(twice, product, hn::Load(d, x + j)), d, x + j);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#endif  // include guard of each instruction set
