// The memory traffic of 3x3 convolutions on plain arrays. One thread only inside; may be called
// from several at once.
#pragma once

#include <cstdint>

namespace innerloop::meta {

// Images [images, height, width, channels] and their 3x3 windows, padding 1.
struct WindowGrid {
  int64_t images = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t stride = 1;

  int64_t rows() const { return (height - 1) / stride + 1; }
  int64_t columns() const { return (width - 1) / stride + 1; }
};

// `windows` [images, rows, columns, 3, 3, channels] from `pixels`; what lies outside an image is 0.
void GatherWindows(const WindowGrid& grid, const float* pixels, float* windows);
void GatherWindows(const WindowGrid& grid, const double* pixels, double* windows);

// The transposed map: each of `pixels` becomes the sum of the places of `windows` that hold it, in
// a fixed order.
void SumWindows(const WindowGrid& grid, const float* windows, float* pixels);
void SumWindows(const WindowGrid& grid, const double* windows, double* pixels);

}  // namespace innerloop::meta
