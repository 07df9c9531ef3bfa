#include "core/meta/ops/convolution.h"

#include "core/meta/ops/convolution_kernels.h"

namespace innerloop::meta {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// What the three functions below share: `images` [T, n, H, W, C], `weight` [T, 9 C, F], `outputs`
// [T, n, Ho, Wo, F]; any two of them determine a bilinear map to the third.
struct Geometry {
  int64_t tasks;
  WindowGrid task;  // the images of one task

  Geometry(at::IntArrayRef images, int64_t stride)
      : tasks(images[0]), task{images[1], images[2], images[3], images[4], stride} {}

  int64_t window() const { return 9 * task.channels; }
  int64_t places() const { return task.images * task.rows() * task.columns(); }
  std::vector<int64_t> OutputShape(int64_t filters) const {
    return {tasks, task.images, task.rows(), task.columns(), filters};
  }
};

// The windows of one task's images as rows of a matrix, and back.
void Gather(const Geometry& geometry, const Tensor& images, Tensor& windows) {
  AT_DISPATCH_FLOATING_TYPES(images.scalar_type(), "Convolve3x3", [&] {
    GatherWindows(geometry.task, images.const_data_ptr<scalar_t>(),
                  windows.mutable_data_ptr<scalar_t>());
  });
}

void Sum(const Geometry& geometry, const Tensor& windows, const Tensor& images) {
  AT_DISPATCH_FLOATING_TYPES(windows.scalar_type(), "Convolve3x3", [&] {
    SumWindows(geometry.task, windows.const_data_ptr<scalar_t>(),
               images.mutable_data_ptr<scalar_t>());
  });
}

Tensor Scratch(const Geometry& geometry, const Tensor& like) {
  return at::empty({geometry.places(), geometry.window()}, like.options());
}

// outputs = windows(images) weight.
struct Outputs : Function<Outputs> {
  static Tensor forward(AutogradContext* context, const Tensor& images, const Tensor& weight,
                        int64_t stride) {
    context->save_for_backward({images, weight});
    context->saved_data["stride"] = stride;
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Geometry geometry(images.sizes(), stride);
    const Tensor source = images.contiguous();
    Tensor windows = Scratch(geometry, source);
    Tensor outputs = at::empty(geometry.OutputShape(weight.size(2)), source.options());
    const Tensor matrices = outputs.view({geometry.tasks, geometry.places(), -1});
    for (int64_t task = 0; task < geometry.tasks; ++task) {
      Gather(geometry, source[task], windows);
      Tensor product = matrices[task];
      at::mm_out(product, windows, weight[task]);
    }
    return outputs;
  }
  static Tensors backward(AutogradContext* context, Tensors gradients);
};

// The transpose of Outputs for images: images = sum of windows(outputs weight').
struct Images : Function<Images> {
  static Tensor forward(AutogradContext* context, const Tensor& outputs, const Tensor& weight,
                        std::vector<int64_t> shape, int64_t stride) {
    context->save_for_backward({outputs, weight});
    context->saved_data["stride"] = stride;
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Geometry geometry(shape, stride);
    const Tensor source = outputs.reshape({geometry.tasks, geometry.places(), -1});
    Tensor windows = Scratch(geometry, source);
    Tensor images = at::empty(shape, source.options());
    for (int64_t task = 0; task < geometry.tasks; ++task) {
      at::mm_out(windows, source[task], weight[task].t());
      Sum(geometry, windows, images[task]);
    }
    return images;
  }
  static Tensors backward(AutogradContext* context, Tensors gradients);
};

// The transpose of Outputs for the weight: weight = windows(images)' outputs.
struct Weight : Function<Weight> {
  static Tensor forward(AutogradContext* context, const Tensor& images, const Tensor& outputs,
                        int64_t stride) {
    context->save_for_backward({images, outputs});
    context->saved_data["stride"] = stride;
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Geometry geometry(images.sizes(), stride);
    const Tensor source = images.contiguous();
    const Tensor rows = outputs.reshape({geometry.tasks, geometry.places(), -1});
    Tensor windows = Scratch(geometry, source);
    Tensor weight = at::empty({geometry.tasks, geometry.window(), rows.size(2)}, source.options());
    for (int64_t task = 0; task < geometry.tasks; ++task) {
      Gather(geometry, source[task], windows);
      Tensor product = weight[task];
      at::mm_out(product, windows.t(), rows[task]);
    }
    return weight;
  }
  static Tensors backward(AutogradContext* context, Tensors gradients);
};

Tensors Outputs::backward(AutogradContext* context, Tensors gradients) {
  const Tensors saved = context->get_saved_variables();
  const int64_t stride = context->saved_data["stride"].toInt();
  const Tensor& images = saved[0];
  const Tensor& weight = saved[1];
  return {context->needs_input_grad(0)
              ? Images::apply(gradients[0], weight, images.sizes().vec(), stride)
              : Tensor(),
          context->needs_input_grad(1) ? Weight::apply(images, gradients[0], stride) : Tensor(),
          Tensor()};
}

Tensors Images::backward(AutogradContext* context, Tensors gradients) {
  const Tensors saved = context->get_saved_variables();
  const int64_t stride = context->saved_data["stride"].toInt();
  const Tensor& outputs = saved[0];
  const Tensor& weight = saved[1];
  return {context->needs_input_grad(0) ? Outputs::apply(gradients[0], weight, stride) : Tensor(),
          context->needs_input_grad(1) ? Weight::apply(gradients[0], outputs, stride) : Tensor(),
          Tensor(), Tensor()};
}

Tensors Weight::backward(AutogradContext* context, Tensors gradients) {
  const Tensors saved = context->get_saved_variables();
  const int64_t stride = context->saved_data["stride"].toInt();
  const Tensor& images = saved[0];
  const Tensor& outputs = saved[1];
  return {context->needs_input_grad(0)
              ? Images::apply(outputs, gradients[0], images.sizes().vec(), stride)
              : Tensor(),
          context->needs_input_grad(1) ? Outputs::apply(images, gradients[0], stride) : Tensor(),
          Tensor()};
}

}  // namespace

Tensor Convolve3x3(const Tensor& images, const Tensor& weight, const Tensor& bias, int64_t stride) {
  TORCH_CHECK(images.dim() == 5 && weight.dim() == 3 && weight.size(0) == images.size(0) &&
                  weight.size(1) == 9 * images.size(4) && stride >= 1,
              "Convolve3x3: wants images [T, n, H, W, C] and weight [T, 9 C, F]; got ",
              images.sizes(), " and ", weight.sizes(), ", stride ", stride);
  const Tensor outputs = Outputs::apply(images, weight, stride);
  return bias.defined() ? outputs + bias.view({bias.size(0), 1, 1, 1, -1}) : outputs;
}

}  // namespace innerloop::meta
