#include "core/meta/ops/layer_norm.h"

#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"

namespace innerloop::meta {
namespace {

TEST(LayerNormTest, EqualsTorchsLayerNormWithScaleAndShiftOfEachChannel) {
  torch::manual_seed(1);
  const Tensor x = at::randn({2, 3, 6, 4}, at::kDouble);
  const Tensor scale = at::rand({2, 4}, at::kDouble);
  const Tensor shift = at::randn({2, 4}, at::kDouble);
  const Tensor y = LayerNorm(x, scale, shift);
  for (int64_t task = 0; task < 2; ++task) {
    EXPECT_TRUE(at::allclose(
        y[task], at::layer_norm(x[task], {6, 4}, scale[task].expand({6, 4}).contiguous(),
                                shift[task].expand({6, 4}).contiguous())));
  }
}

TEST(LayerNormTest, ThreeDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(2);
  ExpectDerivatives([](const Tensors& x) { return Weigh(LayerNorm(x[0], x[1], x[2]).pow(3)); },
                    {at::randn({2, 3, 6, 4}, at::kDouble), at::rand({2, 4}, at::kDouble) + 0.5,
                     at::randn({2, 4}, at::kDouble)},
                    /*orders=*/3, /*tolerance=*/1e-6);
}

}  // namespace
}  // namespace innerloop::meta
