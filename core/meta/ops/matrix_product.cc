#include "core/meta/ops/matrix_product.h"

namespace innerloop::meta {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// With or without transposing a and b; its derivatives are such products again.
struct ProductFunction : Function<ProductFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& a, const Tensor& b,
                        bool transpose_a, bool transpose_b) {
    context->save_for_backward({a, b});
    context->saved_data["transpose_a"] = transpose_a;
    context->saved_data["transpose_b"] = transpose_b;
    return at::bmm(transpose_a ? a.transpose(1, 2) : a, transpose_b ? b.transpose(1, 2) : b);
  }

  static Tensors backward(AutogradContext* context, Tensors gradients) {
    const Tensors saved = context->get_saved_variables();
    const bool transpose_a = context->saved_data["transpose_a"].toBool();
    const bool transpose_b = context->saved_data["transpose_b"].toBool();
    const Tensor& a = saved[0];
    const Tensor& b = saved[1];
    const Tensor& g = gradients[0];
    Tensor da;
    Tensor db;
    if (context->needs_input_grad(0)) {
      da = transpose_a ? apply(b, g, transpose_b, true) : apply(g, b, false, !transpose_b);
    }
    if (context->needs_input_grad(1)) {
      db = transpose_b ? apply(g, a, true, transpose_a) : apply(a, g, !transpose_a, false);
    }
    return {da, db, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor MatrixProduct(const Tensor& a, const Tensor& b) {
  return ProductFunction::apply(a, b, false, false);
}

}  // namespace innerloop::meta
