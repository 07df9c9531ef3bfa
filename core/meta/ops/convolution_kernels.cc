#include "core/meta/ops/convolution_kernels.h"

#include <algorithm>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/meta/ops/convolution_kernels.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, as Highway wants it.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void Sum(D d, const T* const* sources, int64_t count, int64_t c, T* target) {
  auto sum = hn::LoadU(d, sources[0] + c);
  for (int64_t i = 1; i < count; ++i) {
    sum = hn::Add(sum, hn::LoadU(d, sources[i] + c));
  }
  hn::StoreU(sum, d, target + c);
}

template <typename T>
HWY_INLINE void Copy(const T* from, int64_t count, T* to) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  }
  for (; i < count; ++i) {
    to[i] = from[i];
  }
}

template <typename T>
void Gather(const WindowGrid& grid, const T* pixels, T* windows) {
  const int64_t channels = grid.channels;
  const int64_t line = grid.width * channels;
  for (int64_t image = 0; image < grid.images; ++image, pixels += grid.height * line) {
    for (int64_t row = 0; row < grid.rows(); ++row) {
      for (int64_t column = 0; column < grid.columns(); ++column) {
        // The three pixels of a window's line are neighbours in memory: one copy.
        const int64_t left = column * grid.stride - 1;
        const int64_t first = std::max<int64_t>(left, 0);
        const int64_t last = std::min(left + 3, grid.width);
        const int64_t before = (first - left) * channels;
        const int64_t count = (last - first) * channels;
        for (int64_t y = row * grid.stride - 1; y < row * grid.stride + 2; ++y) {
          if (y < 0 || y >= grid.height) {
            std::fill_n(windows, 3 * channels, T{0});
          } else {
            std::fill_n(windows, before, T{0});
            Copy(pixels + y * line + first * channels, count, windows + before);
            std::fill_n(windows + before + count, 3 * channels - before - count, T{0});
          }
          windows += 3 * channels;
        }
      }
    }
  }
}

template <typename T>
void ScatterSum(const WindowGrid& grid, const T* windows, T* pixels) {
  const hn::ScalableTag<T> wide;
  const hn::CappedTag<T, 1> narrow;
  const auto lanes = static_cast<int64_t>(hn::Lanes(wide));
  const int64_t channels = grid.channels;
  const int64_t window = 9 * channels;
  const int64_t per_image = grid.rows() * grid.columns() * window;
  for (int64_t image = 0; image < grid.images; ++image, windows += per_image) {
    for (int64_t y = 0; y < grid.height; ++y) {
      for (int64_t x = 0; x < grid.width; ++x, pixels += channels) {
        const T* sources[9];
        int64_t count = 0;
        for (int64_t ky = 0; ky < 3; ++ky) {
          const int64_t top = y + 1 - ky;
          if (top < 0 || top % grid.stride != 0 || top / grid.stride >= grid.rows()) {
            continue;
          }
          for (int64_t kx = 0; kx < 3; ++kx) {
            const int64_t left = x + 1 - kx;
            if (left < 0 || left % grid.stride != 0 || left / grid.stride >= grid.columns()) {
              continue;
            }
            const int64_t place = top / grid.stride * grid.columns() + left / grid.stride;
            sources[count++] = windows + place * window + (ky * 3 + kx) * channels;
          }
        }
        if (count == 0) {  // strides beyond 3 pass pixels over
          std::fill_n(pixels, channels, T{0});
          continue;
        }
        int64_t c = 0;
        for (; c + lanes <= channels; c += lanes) {
          Sum(wide, sources, count, c, pixels);
        }
        for (; c < channels; ++c) {
          Sum(narrow, sources, count, c, pixels);
        }
      }
    }
  }
}

void GatherFloat(const WindowGrid& grid, const float* pixels, float* windows) {
  Gather(grid, pixels, windows);
}
void GatherDouble(const WindowGrid& grid, const double* pixels, double* windows) {
  Gather(grid, pixels, windows);
}
void SumFloat(const WindowGrid& grid, const float* windows, float* pixels) {
  ScatterSum(grid, windows, pixels);
}
void SumDouble(const WindowGrid& grid, const double* windows, double* pixels) {
  ScatterSum(grid, windows, pixels);
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace innerloop::meta {

HWY_EXPORT(GatherFloat);
HWY_EXPORT(GatherDouble);
HWY_EXPORT(SumFloat);
HWY_EXPORT(SumDouble);

void GatherWindows(const WindowGrid& grid, const float* pixels, float* windows) {
  HWY_DYNAMIC_DISPATCH(GatherFloat)(grid, pixels, windows);
}
void GatherWindows(const WindowGrid& grid, const double* pixels, double* windows) {
  HWY_DYNAMIC_DISPATCH(GatherDouble)(grid, pixels, windows);
}
void SumWindows(const WindowGrid& grid, const float* windows, float* pixels) {
  HWY_DYNAMIC_DISPATCH(SumFloat)(grid, windows, pixels);
}
void SumWindows(const WindowGrid& grid, const double* windows, double* pixels) {
  HWY_DYNAMIC_DISPATCH(SumDouble)(grid, windows, pixels);
}

}  // namespace innerloop::meta
#endif  // HWY_ONCE
