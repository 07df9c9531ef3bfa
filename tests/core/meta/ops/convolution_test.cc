#include "core/meta/ops/convolution.h"

#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"

namespace innerloop::meta {
namespace {

// [9 * C, F] -> at::conv2d's [F, C, 3, 3].
Tensor TorchWeight(const Tensor& weight, int64_t channels) {
  return weight.view({3, 3, channels, -1}).permute({3, 2, 0, 1});
}

TEST(ConvolutionTest, EqualsTorchsForManySizesAndStrides) {
  torch::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    for (const int64_t stride : {1, 2, 3, 4}) {
      for (const auto& [height, width, channels] :
           {std::tuple<int64_t, int64_t, int64_t>{7, 9, 3}, {1, 1, 1}, {2, 5, 17}, {8, 8, 33}}) {
        const Tensor images = at::randn({2, 3, height, width, channels}, dtype);
        const Tensor weight = at::randn({2, 9 * channels, 5}, dtype);
        const Tensor bias = at::randn({2, 5}, dtype);
        const Tensor result = Convolve3x3(images, weight, bias, stride);
        for (int64_t task = 0; task < 2; ++task) {
          const Tensor expected =
              at::conv2d(images[task].permute({0, 3, 1, 2}), TorchWeight(weight[task], channels),
                         bias[task], stride, /*padding=*/1)
                  .permute({0, 2, 3, 1});
          ASSERT_EQ(result[task].sizes(), expected.sizes());
          EXPECT_TRUE(at::allclose(result[task], expected, 1e-4, 1e-4))
              << height << "x" << width << "x" << channels << " stride " << stride;
        }
      }
    }
  }
}

TEST(ConvolutionTest, GradientOfAStrideBeyondTheWindowIsZeroBetweenWindows) {
  const Tensor images = at::ones({1, 1, 5, 9, 1}, at::kDouble).requires_grad_();
  const Tensor outputs = Convolve3x3(images, at::ones({1, 9, 1}, at::kDouble), {}, /*stride=*/4);
  const Tensor gradient = torch::autograd::grad({outputs.sum()}, {images})[0];
  EXPECT_EQ(gradient[0][0][0][2].item<double>(), 0);
  EXPECT_EQ(gradient[0][0][0][1].item<double>(), 1);
}

TEST(ConvolutionTest, ThreeDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(2);
  for (const int64_t stride : {1, 2}) {
    // The cube makes the third derivative other than 0.
    ExpectDerivatives(
        [stride](const Tensors& x) { return Weigh(Convolve3x3(x[0], x[1], x[2], stride).pow(3)); },
        {at::randn({2, 2, 5, 4, 3}, at::kDouble) * 0.3, at::randn({2, 27, 4}, at::kDouble) * 0.3,
         at::randn({2, 4}, at::kDouble)},
        /*orders=*/3);
  }
}

TEST(ConvolutionTest, DerivativesForOneArgumentAloneAreRightToo) {
  torch::manual_seed(3);
  const Tensors arguments = {at::randn({2, 2, 5, 4, 3}, at::kDouble) * 0.3,
                             at::randn({2, 27, 4}, at::kDouble) * 0.3};
  for (size_t chosen = 0; chosen < 2; ++chosen) {
    ExpectDerivatives(
        [&](const Tensors& x) {
          Tensors all = arguments;
          all[chosen] = x[0];
          return Weigh(Convolve3x3(all[0], all[1], {}, /*stride=*/2).pow(3));
        },
        {arguments[chosen]}, /*orders=*/3);
  }
}

TEST(ConvolutionTest, TakesTensorsThatAreNotContiguous) {
  torch::manual_seed(4);
  const Tensor images = at::randn({2, 5, 3, 4, 2}).permute({0, 4, 2, 3, 1}).requires_grad_();
  const Tensor weight = at::randn({2, 4, 45}).transpose(1, 2).requires_grad_();
  const auto gradients = [](const Tensor& x, const Tensor& w) {
    return torch::autograd::grad({Weigh(Convolve3x3(x, w, {}, 1).pow(2))}, {x, w});
  };
  const Tensors strided = gradients(images, weight);
  const Tensors contiguous = gradients(images.detach().contiguous().requires_grad_(),
                                       weight.detach().contiguous().requires_grad_());
  EXPECT_TRUE(at::allclose(strided[0], contiguous[0], 1e-4, 1e-4));
  EXPECT_TRUE(at::allclose(strided[1], contiguous[1], 1e-4, 1e-4));
}

TEST(ConvolutionTest, RefusesAWeightOfAnotherNumberOfChannels) {
  EXPECT_THROW(Convolve3x3(at::zeros({1, 1, 4, 4, 2}), at::zeros({1, 9, 3}), {}, 1), c10::Error);
}

}  // namespace
}  // namespace innerloop::meta
