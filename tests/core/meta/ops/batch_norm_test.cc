#include "core/meta/ops/batch_norm.h"

#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"

namespace innerloop::meta {
namespace {

// From ordinary differentiable operations.
Tensor PlainBatchNorm(const Tensor& x, const Tensor& scale, const Tensor& shift, double slope) {
  const Tensor centred = x - x.mean(1, /*keepdim=*/true);
  const Tensor variance = centred.square().mean(1, /*keepdim=*/true);
  const Tensor z = centred / (variance + 1e-5).sqrt() * scale.unsqueeze(1) + shift.unsqueeze(1);
  return at::where(z > 0, z, slope * z);
}

Tensors RandomInputs(int64_t channels, at::ScalarType dtype) {
  return {at::randn({2, 6, channels}, dtype) * 2 + 1, at::rand({2, channels}, dtype) + 0.5,
          at::randn({2, channels}, dtype)};
}

// First gradients, and those of a random combination of them.
Tensors TwoDerivatives(const ScalarFunction& function, Tensors inputs) {
  for (Tensor& input : inputs) {
    input = input.detach().clone().requires_grad_();
  }
  Tensors first = torch::autograd::grad({function(inputs)}, inputs, {}, true, true);
  Tensor sum = at::zeros({}, inputs[0].options());
  for (const Tensor& gradient : first) {
    sum = sum + Weigh(gradient.square());
  }
  const Tensors second = torch::autograd::grad({sum}, inputs);
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST(BatchNormTest, EqualsTorchsBatchNorm) {
  torch::manual_seed(1);
  for (const int64_t channels : {1, 7, 16, 37}) {
    const Tensors inputs = RandomInputs(channels, at::kFloat);
    const Tensor y = BatchNorm(inputs[0], inputs[1], inputs[2], {.negative_slope = 0});
    for (int64_t task = 0; task < 2; ++task) {
      const Tensor expected =
          at::relu(at::batch_norm(inputs[0][task], inputs[1][task], inputs[2][task], {}, {},
                                  /*training=*/true, 0.1, 1e-5, /*cudnn_enabled=*/false));
      EXPECT_TRUE(at::allclose(y[task], expected, 1e-4, 1e-5)) << channels << " channels";
    }
  }
}

TEST(BatchNormTest, TwoDerivativesEqualThoseOfPrimitives) {
  torch::manual_seed(2);
  for (const double slope : {0.0, 0.01, 1.0}) {
    for (const int64_t channels : {1, 5, 8, 19}) {
      const Tensors inputs = RandomInputs(channels, at::kDouble);
      const Tensors fused = TwoDerivatives(
          [slope](const Tensors& x) {
            return Weigh(BatchNorm(x[0], x[1], x[2], {.negative_slope = slope}).pow(3));
          },
          inputs);
      const Tensors plain = TwoDerivatives(
          [slope](const Tensors& x) {
            return Weigh(PlainBatchNorm(x[0], x[1], x[2], slope).pow(3));
          },
          inputs);
      for (size_t i = 0; i < plain.size(); ++i) {
        EXPECT_TRUE(at::allclose(fused[i], plain[i], 1e-9, 1e-9))
            << "tensor " << i << ", slope " << slope << ", " << channels << " channels";
      }
    }
  }
}

TEST(BatchNormTest, ThreeDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(3);
  for (const double slope : {0.0, 0.01, 1.0}) {
    ExpectDerivatives(
        [slope](const Tensors& x) {
          return Weigh(BatchNorm(x[0], x[1], x[2], {.negative_slope = slope}).pow(3));
        },
        RandomInputs(/*channels=*/5, at::kDouble), /*orders=*/3, /*tolerance=*/1e-6);
  }
}

TEST(BatchNormTest, SecondDerivativeIsRightWhereOnlySomeInputsAreDifferentiated) {
  torch::manual_seed(4);
  const Tensors inputs = RandomInputs(/*channels=*/5, at::kDouble);
  for (size_t chosen = 0; chosen < 3; ++chosen) {
    ExpectDerivatives(
        [&](const Tensors& x) {
          Tensors all = inputs;
          all[chosen] = x[0];
          return Weigh(BatchNorm(all[0], all[1], all[2], {.negative_slope = 0}).pow(3));
        },
        {inputs[chosen]}, /*orders=*/3, /*tolerance=*/1e-6);
  }
}

TEST(BatchNormTest, StatisticsOfTheFirstRowsLeaveOtherRowsWithoutInfluence) {
  torch::manual_seed(5);
  const BatchNormOptions options{.negative_slope = 0, .statistics_rows = 4};
  for (const int64_t channels : {5, 19}) {
    const Tensors inputs = RandomInputs(channels, at::kDouble);
    const Tensor y = BatchNorm(inputs[0], inputs[1], inputs[2], options);
    // The rows that give the statistics come out as if they were alone.
    EXPECT_TRUE(at::allclose(y.narrow(1, 0, 4), BatchNorm(inputs[0].narrow(1, 0, 4), inputs[1],
                                                          inputs[2], {.negative_slope = 0})));
    Tensor changed = inputs[0].clone();
    changed.select(1, 5).fill_(100);
    const Tensor z = BatchNorm(changed, inputs[1], inputs[2], options);
    EXPECT_TRUE(at::equal(y.narrow(1, 0, 5), z.narrow(1, 0, 5)));
    EXPECT_FALSE(at::equal(y.select(1, 5), z.select(1, 5)));
    ExpectDerivatives(
        [&](const Tensors& x) { return Weigh(BatchNorm(x[0], x[1], x[2], options).pow(3)); },
        inputs, /*orders=*/3, /*tolerance=*/1e-6);
  }
}

TEST(BatchNormTest, RefusesStatisticsOverMoreRowsThanThereAre) {
  const Tensors inputs = RandomInputs(/*channels=*/2, at::kDouble);
  EXPECT_THROW(BatchNorm(inputs[0], inputs[1], inputs[2], {.statistics_rows = 7}), c10::Error);
  EXPECT_THROW(BatchNorm(inputs[0], inputs[1], inputs[2], {.statistics_rows = 0}), c10::Error);
}

}  // namespace
}  // namespace innerloop::meta
