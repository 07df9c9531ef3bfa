#include "core/meta/ops/matrix_product.h"

#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"

namespace innerloop::meta {
namespace {

TEST(MatrixProductTest, EqualsThatOfEachTask) {
  torch::manual_seed(1);
  const Tensor a = at::randn({3, 4, 5}, at::kDouble);
  const Tensor b = at::randn({3, 5, 2}, at::kDouble);
  const Tensor product = MatrixProduct(a, b);
  for (int64_t task = 0; task < 3; ++task) {
    EXPECT_TRUE(at::allclose(product[task], at::mm(a[task], b[task])));
  }
}

TEST(MatrixProductTest, ThreeDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(2);
  ExpectDerivatives([](const Tensors& x) { return Weigh(MatrixProduct(x[0], x[1]).pow(3)); },
                    {at::randn({2, 4, 5}, at::kDouble), at::randn({2, 5, 3}, at::kDouble)},
                    /*orders=*/3);
}

TEST(MatrixProductTest, GradientsOfGradientsAreContiguous) {
  const Tensors arguments = {at::rand({2, 4, 5}).requires_grad_(),
                             at::rand({2, 5, 3}).requires_grad_()};
  const Tensors first = torch::autograd::grad({MatrixProduct(arguments[0], arguments[1]).sum()},
                                              arguments, {}, true, /*create_graph=*/true);
  const Tensors second =
      torch::autograd::grad({first[0].square().sum() + first[1].square().sum()}, arguments);
  for (const Tensor& gradient : {first[0], first[1], second[0], second[1]}) {
    EXPECT_TRUE(gradient.is_contiguous());
  }
}

}  // namespace
}  // namespace innerloop::meta
