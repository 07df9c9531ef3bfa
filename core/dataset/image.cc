#include "core/dataset/image.h"

#include <algorithm>
#include <climits>

#include <stb_image.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace innerloop {
namespace {

constexpr int64_t kMaxPixels = 100'000'000;

// Output position i of n covers [i * length, (i + 1) * length) in units of which a source position
// covers n. Calls use(position, weight) for each source position; the weights add up to `length`.
template <typename Use>
void Cover(int64_t i, int64_t n, int64_t length, const Use& use) {
  const int64_t begin = i * length;
  const int64_t end = begin + length;
  for (int64_t position = begin / n; position * n < end; ++position) {
    use(position, std::min(end, (position + 1) * n) - std::max(begin, position * n));
  }
}

}  // namespace

void Image::Free::operator()(uint8_t* pixels) const { stbi_image_free(pixels); }

absl::StatusOr<Image> DecodeImage(absl::string_view file, int channels) {
  const auto failed = [] {
    const char* const reason = stbi_failure_reason();
    return absl::InvalidArgumentError(
        absl::StrCat("does not decode: ", reason == nullptr ? "damaged" : reason));
  };
  if (file.size() > INT_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("has ", file.size(), " bytes"));
  }
  const auto* const bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const auto size = static_cast<int>(file.size());
  int width = 0;
  int height = 0;
  int stored_channels = 0;
  if (stbi_info_from_memory(bytes, size, &width, &height, &stored_channels) == 0) {
    return failed();
  }
  if (width < 1 || height < 1 || int64_t{width} * height > kMaxPixels) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", width, " x ", height, " pixels; at most ", kMaxPixels, " are taken"));
  }
  Image image;
  image.pixels.reset(
      stbi_load_from_memory(bytes, size, &width, &height, &stored_channels, channels));
  if (image.pixels == nullptr) {
    return failed();
  }
  image.width = width;
  image.height = height;
  image.channels = channels;
  return image;
}

void AppendResized(const Image& image, int64_t size, std::vector<uint8_t>& out) {
  const int64_t row_values = image.width * image.channels;
  // At most 255 * 100 million each, and 255 * 100 million as the sum over a row: int64 is plenty.
  const int64_t area = image.width * image.height;
  std::vector<int64_t> sums(static_cast<size_t>(row_values));
  int64_t* const rows = sums.data();  // also fast where the vector's accesses are checked
  for (int64_t y = 0; y < size; ++y) {
    std::fill(sums.begin(), sums.end(), 0);
    Cover(y, size, image.height, [&](int64_t row, int64_t weight) {
      const uint8_t* const source = image.pixels.get() + row * row_values;
      for (int64_t i = 0; i < row_values; ++i) {
        rows[i] += weight * source[i];
      }
    });
    for (int64_t x = 0; x < size; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) {
        int64_t sum = 0;
        Cover(x, size, image.width, [&](int64_t column, int64_t weight) {
          sum += weight * rows[column * image.channels + c];
        });
        out.push_back(static_cast<uint8_t>((sum + area / 2) / area));
      }
    }
  }
}

}  // namespace innerloop
