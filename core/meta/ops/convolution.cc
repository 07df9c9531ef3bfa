#include "core/meta/ops/convolution.h"

#include "core/meta/ops/convolution_kernels.h"

namespace innerloop::meta {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

WindowGrid Grid(at::IntArrayRef images, int64_t stride) {
  return {images[0], images[1], images[2], images[3], stride};
}

Tensor Gather(const Tensor& images, int64_t stride) {
  const Tensor pixels = images.contiguous();
  const WindowGrid grid = Grid(pixels.sizes(), stride);
  Tensor windows =
      at::empty({grid.images, grid.rows() * grid.columns(), 9 * grid.channels}, pixels.options());
  AT_DISPATCH_FLOATING_TYPES(pixels.scalar_type(), "Windows3x3", [&] {
    GatherWindows(grid, pixels.const_data_ptr<scalar_t>(), windows.mutable_data_ptr<scalar_t>());
  });
  return windows;
}

Tensor Sum(const Tensor& columns, at::IntArrayRef images, int64_t stride) {
  const Tensor windows = columns.contiguous();
  Tensor pixels = at::empty(images, windows.options());
  AT_DISPATCH_FLOATING_TYPES(windows.scalar_type(), "Windows3x3", [&] {
    SumWindows(Grid(images, stride), windows.const_data_ptr<scalar_t>(),
               pixels.mutable_data_ptr<scalar_t>());
  });
  return pixels;
}

// A linear map and its transpose: each is the other's derivative, so both can be differentiated
// without end.
struct GatherFunction : Function<GatherFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& images, int64_t stride) {
    context->saved_data["images"] = images.sizes().vec();
    context->saved_data["stride"] = stride;
    return Gather(images, stride);
  }
  static Tensors backward(AutogradContext* context, Tensors gradients);
};

struct SumFunction : Function<SumFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& windows,
                        std::vector<int64_t> images, int64_t stride) {
    context->saved_data["stride"] = stride;
    return Sum(windows, images, stride);
  }
  static Tensors backward(AutogradContext* context, Tensors gradients) {
    return {GatherFunction::apply(gradients[0], context->saved_data["stride"].toInt()), Tensor(),
            Tensor()};
  }
};

Tensors GatherFunction::backward(AutogradContext* context, Tensors gradients) {
  return {SumFunction::apply(gradients[0], context->saved_data["images"].toIntVector(),
                             context->saved_data["stride"].toInt()),
          Tensor()};
}

}  // namespace

Tensor Windows3x3(const Tensor& images, int64_t stride) {
  TORCH_CHECK(images.dim() == 4 && stride >= 1, "Windows3x3: wants images [N, H, W, C], got ",
              images.sizes(), ", stride ", stride);
  return GatherFunction::apply(images, stride);
}

Tensor Convolve3x3(const Tensor& images, const Tensor& weight, const Tensor& bias, int64_t stride) {
  const int64_t tasks = images.size(0);
  const int64_t count = images.size(1);
  const WindowGrid grid = Grid(images.sizes().slice(1), stride);
  const Tensor rows = Windows3x3(images.flatten(0, 1), stride).view({tasks, -1, 9 * grid.channels});
  const Tensor sums =
      bias.defined() ? at::baddbmm(bias.unsqueeze(1), rows, weight) : at::bmm(rows, weight);
  return sums.view({tasks, count, grid.rows(), grid.columns(), weight.size(2)});
}

}  // namespace innerloop::meta
