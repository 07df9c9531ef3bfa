#include "core/meta/ops/batch_norm.h"

#include "core/meta/ops/batch_norm_kernels.h"

namespace innerloop::meta {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

constexpr double kEpsilon = 1e-5;

BatchNormSize Size(const Tensor& x, int64_t statistics_rows, double slope) {
  return {x.size(0), x.size(1), statistics_rows, x.size(2), slope, kEpsilon};
}

Tensor OrZeros(const Tensor& gradient, const Tensor& like) {
  return gradient.defined() ? gradient.contiguous() : at::zeros_like(like);
}

// BackwardFunction's results from differentiable operations.
Tensors ComposedBackward(const Tensor& dy, const Tensor& x, const Tensor& scale, const Tensor& y,
                         int64_t statistics_rows, double slope) {
  const auto source = [&](const Tensor& rows) { return rows.narrow(1, 0, statistics_rows); };
  const Tensor centred = x - source(x).mean(1, /*keepdim=*/true);
  const Tensor r = (source(centred).square().mean(1, /*keepdim=*/true) + kEpsilon).rsqrt();
  const Tensor h = centred * r;
  const Tensor p = at::where(y > 0, dy, slope * dy);
  const Tensor ph = p * h;
  const Tensor through_statistics =
      (p.sum(1, /*keepdim=*/true) + source(h) * ph.sum(1, /*keepdim=*/true)) / statistics_rows;
  const int64_t other_rows = x.size(1) - statistics_rows;
  const Tensor dx =
      scale.unsqueeze(1) * r * (p - at::constant_pad_nd(through_statistics, {0, 0, 0, other_rows}));
  return {dx, ph.sum(1), p.sum(1)};
}

// The gradients of (dx, dscale, dshift) for dy, x and scale, with a graph of their own where
// gradients are on: a third derivative is asked for. Rare, so without a kernel.
Tensors ComposedSecond(const Tensors& saved, const Tensors& u, int64_t statistics_rows,
                       double slope) {
  const bool create_graph = at::GradMode::is_enabled();
  const at::AutoGradMode with_graph(true);
  Tensors inputs;
  for (int i = 0; i < 3; ++i) {
    inputs.push_back(create_graph && saved[i].requires_grad() ? saved[i].view_as(saved[i])
                                                              : saved[i].detach().requires_grad_());
  }
  const Tensors outputs =
      ComposedBackward(inputs[0], inputs[1], inputs[2], saved[3], statistics_rows, slope);
  Tensors directions;
  for (int i = 0; i < 3; ++i) {
    directions.push_back(u[i].defined() ? u[i] : at::zeros_like(outputs[i]));
  }
  return torch::autograd::grad(outputs, inputs, directions, /*retain_graph=*/create_graph,
                               create_graph);
}

struct BackwardFunction : Function<BackwardFunction> {
  static Tensors forward(AutogradContext* context, const Tensor& gradient, const Tensor& x,
                         const Tensor& scale, const Tensor& y, const Tensor& mean,
                         const Tensor& inverse_deviation, int64_t statistics_rows, double slope) {
    const Tensor dy = gradient.contiguous();
    Tensor dx = at::empty_like(x);
    Tensor dscale = at::empty_like(scale);
    Tensor dshift = at::empty_like(scale);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "BatchNorm backward", [&] {
      Compute(Size(x, statistics_rows, slope),
              BatchNormBackward<scalar_t>{
                  dy.const_data_ptr<scalar_t>(), x.const_data_ptr<scalar_t>(),
                  scale.const_data_ptr<scalar_t>(), y.const_data_ptr<scalar_t>(),
                  mean.const_data_ptr<scalar_t>(), inverse_deviation.const_data_ptr<scalar_t>(),
                  dx.mutable_data_ptr<scalar_t>(), dscale.mutable_data_ptr<scalar_t>(),
                  dshift.mutable_data_ptr<scalar_t>()});
    });
    context->set_materialize_grads(false);
    context->save_for_backward({gradient, x, scale, y, mean, inverse_deviation});
    context->saved_data["statistics_rows"] = statistics_rows;
    context->saved_data["slope"] = slope;
    return {dx, dscale, dshift};
  }

  static Tensors backward(AutogradContext* context, Tensors u) {
    const int64_t statistics_rows = context->saved_data["statistics_rows"].toInt();
    const double slope = context->saved_data["slope"].toDouble();
    const Tensors saved = context->get_saved_variables();
    const Tensor none;
    if (at::GradMode::is_enabled() || statistics_rows < saved[1].size(1)) {
      const Tensors result = ComposedSecond(saved, u, statistics_rows, slope);
      return {result[0], result[1], result[2], none, none, none, none, none};
    }
    const Tensor dy = saved[0].contiguous();
    const Tensor& x = saved[1];
    const Tensor& scale = saved[2];
    const Tensor u_x = OrZeros(u[0], x);
    const Tensor u_scale = OrZeros(u[1], scale);
    const Tensor u_shift = OrZeros(u[2], scale);
    Tensor ddy = at::empty_like(x);
    Tensor dx = at::empty_like(x);
    Tensor dscale = at::empty_like(scale);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "BatchNorm second derivative", [&] {
      Compute(Size(x, statistics_rows, slope),
              BatchNormSecond<scalar_t>{
                  dy.const_data_ptr<scalar_t>(), x.const_data_ptr<scalar_t>(),
                  scale.const_data_ptr<scalar_t>(), saved[3].const_data_ptr<scalar_t>(),
                  saved[4].const_data_ptr<scalar_t>(), saved[5].const_data_ptr<scalar_t>(),
                  u_x.const_data_ptr<scalar_t>(), u_scale.const_data_ptr<scalar_t>(),
                  u_shift.const_data_ptr<scalar_t>(), ddy.mutable_data_ptr<scalar_t>(),
                  dx.mutable_data_ptr<scalar_t>(), dscale.mutable_data_ptr<scalar_t>()});
    });
    return {ddy, dx, dscale, none, none, none, none, none};
  }
};

struct ForwardFunction : Function<ForwardFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& scale,
                        const Tensor& shift, int64_t statistics_rows, double slope) {
    Tensor y = at::empty_like(x);
    Tensor mean = at::empty_like(scale);
    Tensor inverse_deviation = at::empty_like(scale);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "BatchNorm", [&] {
      Compute(
          Size(x, statistics_rows, slope),
          BatchNormForward<scalar_t>{
              x.const_data_ptr<scalar_t>(), scale.const_data_ptr<scalar_t>(),
              shift.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(),
              mean.mutable_data_ptr<scalar_t>(), inverse_deviation.mutable_data_ptr<scalar_t>()});
    });
    context->save_for_backward({x, scale, y, mean, inverse_deviation});
    context->saved_data["statistics_rows"] = statistics_rows;
    context->saved_data["slope"] = slope;
    return y;
  }

  static Tensors backward(AutogradContext* context, Tensors gradients) {
    const Tensors saved = context->get_saved_variables();
    // y serves as a mask only: detached, so that no second gradient looks for a way through it.
    Tensors result = BackwardFunction::apply(
        gradients[0], saved[0], saved[1], saved[2].detach(), saved[3], saved[4],
        context->saved_data["statistics_rows"].toInt(), context->saved_data["slope"].toDouble());
    result.emplace_back();
    result.emplace_back();
    return result;
  }
};

}  // namespace

Tensor BatchNorm(const Tensor& x, const Tensor& scale, const Tensor& shift,
                 const BatchNormOptions& options) {
  TORCH_CHECK(x.dim() == 3 && scale.dim() == 2 && scale.size(0) == x.size(0) &&
                  scale.size(1) == x.size(2) && shift.sizes() == scale.sizes(),
              "BatchNorm: wants x [T, M, C], scale and shift [T, C]; got ", x.sizes(), ", ",
              scale.sizes(), ", ", shift.sizes());
  const int64_t rows = options.statistics_rows < 0 ? x.size(1) : options.statistics_rows;
  TORCH_CHECK(rows >= 1 && rows <= x.size(1), "BatchNorm: statistics over ", rows, " of ",
              x.size(1), " rows");
  return ForwardFunction::apply(x.contiguous(), scale.contiguous(), shift.contiguous(), rows,
                                options.negative_slope);
}

}  // namespace innerloop::meta
