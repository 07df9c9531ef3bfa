// Products of small matrices in vector registers. Compiled once for each instruction set (Highway's
// foreach_target); includes no LibTorch. All vectors are rows padded to kRowMultiple floats.
#if defined(INNERLOOP_FUSED_SMALL_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INNERLOOP_FUSED_SMALL_GEMM_INL_H_
#undef INNERLOOP_FUSED_SMALL_GEMM_INL_H_
#else
#define INNERLOOP_FUSED_SMALL_GEMM_INL_H_
#endif

#include <algorithm>
#include <cstddef>

#include "core/meta/fused/mlp_shape.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::CappedTag<float, kRowMultiple>;
using Vector = hn::Vec<FloatTag>;
inline constexpr size_t kLanes = hn::MaxLanes(FloatTag());

// A tile of kMaxRows x kMaxVectors accumulators must fit the registers: 32 of them, or 16.
inline constexpr size_t kMaxRows = 6;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
inline constexpr size_t kMaxVectors = 4;
#else
inline constexpr size_t kMaxVectors = 2;
#endif

// A product A B, of which element (i, j) is the sum over s < depth of
// a[i * a_row + s * a_step] * b[s * b_row + j].
struct Product {
  const float* a;
  size_t a_row;
  size_t a_step;
  const float* b;
  size_t b_row;
  size_t depth;
};

// out[i * row + j] = base[i * base_row + j] + scale * (sum of products). `base` may be null (zero)
// or `out` itself; base_row 0 repeats one row.
struct Target {
  const float* base;
  size_t base_row;
  float scale;
  float* out;
  size_t row;
};

template <size_t kRows, size_t kVectors>
HWY_NOINLINE void MultiplyTile(const Product* products, size_t count, const Target& target,
                               size_t i, size_t j) {
  const FloatTag d;
  Vector sums[kRows][kVectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (size_t c = 0; c < kVectors; ++c) {
      sums[r][c] = hn::Zero(d);
    }
  }
  for (size_t p = 0; p < count; ++p) {
    const Product& product = products[p];
    const size_t a_row = product.a_row;
    const size_t a_step = product.a_step;
    const size_t b_row = product.b_row;
    const float* HWY_RESTRICT a = product.a + i * a_row;
    const float* HWY_RESTRICT b = product.b + j;
    for (size_t s = product.depth; s > 0; --s) {
      Vector bs[kVectors];
#pragma GCC unroll 8
      for (size_t c = 0; c < kVectors; ++c) {
        bs[c] = hn::Load(d, b + c * kLanes);
      }
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        const Vector x = hn::Set(d, a[r * a_row]);
#pragma GCC unroll 8
        for (size_t c = 0; c < kVectors; ++c) {
          sums[r][c] = hn::MulAdd(x, bs[c], sums[r][c]);
        }
      }
      a += a_step;
      b += b_row;
    }
  }
  const Vector scale = hn::Set(d, target.scale);
  float* out = target.out + i * target.row + j;
  if (target.base == nullptr) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (size_t c = 0; c < kVectors; ++c) {
        hn::Store(hn::Mul(sums[r][c], scale), d, out + r * target.row + c * kLanes);
      }
    }
    return;
  }
  const float* base = target.base + i * target.base_row + j;
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (size_t c = 0; c < kVectors; ++c) {
      const Vector start = hn::Load(d, base + r * target.base_row + c * kLanes);
      hn::Store(hn::MulAdd(sums[r][c], scale, start), d, out + r * target.row + c * kLanes);
    }
  }
}

template <size_t kVectors>
HWY_INLINE void MultiplyColumns(const Product* products, size_t count, const Target& target,
                                size_t rows, size_t j) {
  const size_t blocks = (rows + kMaxRows - 1) / kMaxRows;
  const size_t block = blocks == 0 ? 0 : (rows + blocks - 1) / blocks;
  for (size_t i = 0; i < rows;) {
    const size_t take = std::min(block, rows - i);
    switch (take) {
      case 1:
        MultiplyTile<1, kVectors>(products, count, target, i, j);
        break;
      case 2:
        MultiplyTile<2, kVectors>(products, count, target, i, j);
        break;
      case 3:
        MultiplyTile<3, kVectors>(products, count, target, i, j);
        break;
      case 4:
        MultiplyTile<4, kVectors>(products, count, target, i, j);
        break;
      case 5:
        MultiplyTile<5, kVectors>(products, count, target, i, j);
        break;
      default:
        MultiplyTile<6, kVectors>(products, count, target, i, j);
        break;
    }
    i += take;
  }
}

// `columns` is a multiple of kRowMultiple. The order of each element's sum depends on the sizes
// alone.
inline void Multiply(const Product* products, size_t count, size_t rows, size_t columns,
                     const Target& target) {
  size_t vectors = columns / kLanes;
  for (size_t j = 0; vectors > 0;) {
    // 5 = 3 + 2 keeps more accumulators busy than 4 + 1.
    const size_t take =
        vectors == 5 ? std::min<size_t>(3, kMaxVectors) : std::min<size_t>(vectors, kMaxVectors);
    if constexpr (kMaxVectors > 2) {
      if (take == 4) {
        MultiplyColumns<4>(products, count, target, rows, j);
      } else if (take == 3) {
        MultiplyColumns<3>(products, count, target, rows, j);
      }
    }
    if (take == 2) {
      MultiplyColumns<2>(products, count, target, rows, j);
    } else if (take == 1) {
      MultiplyColumns<1>(products, count, target, rows, j);
    }
    j += take * kLanes;
    vectors -= take;
  }
}

// Rows of x [n, width] and of w [outputs, width]; width is a multiple of kRowMultiple.
struct DotProducts {
  const float* x;
  const float* w;
};

// out[i * out_row + o] = bias[o] + sum over terms of <x_i, w_o>.
inline void MultiplyByRows(const DotProducts* terms, size_t count, size_t n, size_t outputs,
                           size_t width, const float* bias, float* out, size_t out_row) {
  const FloatTag d;
  for (size_t i = 0; i < n; ++i) {
    for (size_t o = 0; o < outputs; ++o) {
      Vector even = hn::Zero(d);
      Vector odd = hn::Zero(d);
      for (size_t t = 0; t < count; ++t) {
        const float* HWY_RESTRICT x = terms[t].x + i * width;
        const float* HWY_RESTRICT w = terms[t].w + o * width;
        size_t j = 0;
        for (; j + 2 * kLanes <= width; j += 2 * kLanes) {
          even = hn::MulAdd(hn::Load(d, x + j), hn::Load(d, w + j), even);
          odd = hn::MulAdd(hn::Load(d, x + j + kLanes), hn::Load(d, w + j + kLanes), odd);
        }
        if (j < width) {
          even = hn::MulAdd(hn::Load(d, x + j), hn::Load(d, w + j), even);
        }
      }
      out[i * out_row + o] = bias[o] + hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
    }
  }
}

// to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns.
inline void Transpose(const float* from, size_t rows, size_t columns, size_t from_row, float* to,
                      size_t to_row) {
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  const hn::RepartitionToWide<decltype(d)> pairs;
  for (; i + 4 <= rows; i += 4) {
    size_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      const float* f = from + i * from_row + j;
      const auto r0 = hn::Load(d, f);
      const auto r1 = hn::Load(d, f + from_row);
      const auto r2 = hn::Load(d, f + 2 * from_row);
      const auto r3 = hn::Load(d, f + 3 * from_row);
      const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
      const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
      const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
      const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
      float* t = to + j * to_row + i;
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, t);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, t + to_row);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, t + 2 * to_row);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, t + 3 * to_row);
    }
    for (; j < columns; ++j) {
      for (size_t k = i; k < i + 4; ++k) {
        to[j * to_row + k] = from[k * from_row + j];
      }
    }
  }
#endif
  for (; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      to[j * to_row + i] = from[i * from_row + j];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#endif  // include guard of each instruction set
