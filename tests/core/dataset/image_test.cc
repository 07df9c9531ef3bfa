#include "core/dataset/image.h"

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/random.h"
#include "tests/core/dataset/sources.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Image, DecodesToTheChannelsAskedFor) {
  const std::string png = Png(2, 1, /*channels=*/3, {255, 0, 0, 10, 20, 30});
  const Image colour = DecodeImage(png, 3).value();
  EXPECT_THAT(std::vector<uint8_t>(colour.pixels.get(), colour.pixels.get() + 6),
              ElementsAre(255, 0, 0, 10, 20, 30));
  const Image gray = DecodeImage(png, 1).value();
  EXPECT_EQ(gray.width, 2);
  EXPECT_EQ(gray.height, 1);
  EXPECT_EQ(gray.pixels[0], 76);  // 0.299 * 255
  const Image spread = DecodeImage(PlainPng(1, 1, 9), 3).value();
  EXPECT_THAT(std::vector<uint8_t>(spread.pixels.get(), spread.pixels.get() + 3),
              ElementsAre(9, 9, 9));
}

TEST(Image, RefusesWhatDoesNotDecode) {
  const std::string png = PlainPng(50, 50, 3);
  for (const size_t size : {size_t{0}, size_t{10}, size_t{40}, png.size() / 2}) {
    const absl::Status status = DecodeImage(png.substr(0, size), 1).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr("does not decode: ")) << size;
  }
}

TEST(Image, RefusesTooManyPixelsBeforeItDecodes) {
  std::string png = PlainPng(1, 1, 0);
  for (const size_t dimension : {16, 20}) {  // of the header's fields, big-endian
    png.replace(dimension, 4, std::string("\x00\x00\x75\x30", 4));
  }
  EXPECT_THAT(std::string(DecodeImage(png, 1).status().message()),
              HasSubstr("30000 x 30000 pixels; at most 100000000"));
}

// Each source pixel becomes size x size points, and each result the mean over W x H of them.
TEST(Image, ResizingTakesTheMeanOverTheAreaOfEachPixel) {
  CounterRandom random(/*seed=*/1, RandomPurpose::kTask);
  for (const auto& [width, height, channels, size] : {std::array<int, 4>{7, 5, 3, 4},
                                                      {9, 9, 1, 3},
                                                      {2, 3, 1, 5},
                                                      {28, 28, 1, 28},
                                                      {1, 1, 3, 2}}) {
    std::vector<uint8_t> pixels(static_cast<size_t>(width * height * channels));
    for (uint8_t& pixel : pixels) {
      pixel = static_cast<uint8_t>(random.NextU32());
    }
    const Image image = DecodeImage(Png(width, height, channels, pixels), channels).value();
    std::vector<uint8_t> resized;
    AppendResized(image, size, resized);
    ASSERT_EQ(resized.size(), static_cast<size_t>(size * size * channels));
    for (int y = 0; y < size; ++y) {
      for (int x = 0; x < size; ++x) {
        for (int c = 0; c < channels; ++c) {
          double sum = 0;
          for (int v = y * height; v < (y + 1) * height; ++v) {
            for (int u = x * width; u < (x + 1) * width; ++u) {
              sum += pixels[static_cast<size_t>((v / size * width + u / size) * channels + c)];
            }
          }
          EXPECT_NEAR(resized[static_cast<size_t>((y * size + x) * channels + c)],
                      sum / (width * height), 0.5)
              << width << "x" << height << " at " << x << "," << y;
        }
      }
    }
  }
}

}  // namespace
}  // namespace innerloop
