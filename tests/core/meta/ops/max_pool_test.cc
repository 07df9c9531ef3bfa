#include "core/meta/ops/max_pool.h"

#include <limits>

#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"

namespace innerloop::meta {
namespace {

TEST(MaxPoolTest, EqualsTorchsAndDropsAnOddLastLine) {
  torch::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const Tensor images = at::randn({3, 7, 6, 5}, dtype);
    EXPECT_TRUE(
        at::equal(MaxPool2x2(images),
                  at::max_pool2d(images.permute({0, 3, 1, 2}), {2, 2}).permute({0, 2, 3, 1})));
  }
}

TEST(MaxPoolTest, GradientGoesToTheFirstOfEqualPixels) {
  const Tensor images = at::ones({1, 2, 2, 1}, at::kDouble).requires_grad_();
  const Tensor gradient = torch::autograd::grad({MaxPool2x2(images).sum()}, {images})[0];
  EXPECT_TRUE(at::equal(gradient.flatten(), at::tensor({1, 0, 0, 0}, at::kDouble)));
}

TEST(MaxPoolTest, NaNStaysVisible) {
  for (int64_t pixel = 0; pixel < 4; ++pixel) {
    Tensor images = at::ones({1, 2, 2, 1});
    images.view({-1})[pixel] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(MaxPool2x2(images).isnan().item<bool>()) << pixel;
  }
}

TEST(MaxPoolTest, ThreeDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(2);
  ExpectDerivatives([](const Tensors& x) { return Weigh(MaxPool2x2(x[0]).pow(4)); },
                    {at::randn({2, 5, 6, 3}, at::kDouble)}, /*orders=*/3);
}

TEST(MaxPoolTest, RefusesImagesWithoutAWindow) {
  EXPECT_THROW(MaxPool2x2(at::zeros({1, 1, 4, 2})), c10::Error);
}

}  // namespace
}  // namespace innerloop::meta
