// Decoding and resizing of images.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace innerloop {

// Rows of pixels of `channels` bytes each.
struct Image {
  struct Free {
    void operator()(uint8_t* pixels) const;
  };
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 0;
  std::unique_ptr<uint8_t[], Free> pixels;
};

// Decodes PNG, JPEG, BMP, GIF (its first picture), TGA, PSD or PNM to 1 (luma) or 3 channels;
// transparency is dropped. INVALID_ARGUMENT for what does not decode and, before memory is taken,
// for more than 100 million pixels.
absl::StatusOr<Image> DecodeImage(absl::string_view file, int channels);

// Appends the image, resized to `size` x `size`, to `out`. Each pixel is the exact mean over the
// area that it covers, rounded to nearest; so enlarging repeats pixels.
void AppendResized(const Image& image, int64_t size, std::vector<uint8_t>& out);

}  // namespace innerloop
