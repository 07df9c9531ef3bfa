#include "core/meta/ops/max_pool.h"

namespace innerloop::meta {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;

// Calls f(place, pixel) for the channels' first values of each window and of its top left pixel.
template <class F>
void ForEachWindow(at::IntArrayRef images, F f) {
  const int64_t line = images[2] * images[3];
  int64_t place = 0;
  for (int64_t image = 0; image < images[0]; ++image) {
    for (int64_t y = 0; y < images[1] / 2; ++y) {
      for (int64_t x = 0; x < images[2] / 2; ++x, place += images[3]) {
        f(place, (image * images[1] + 2 * y) * line + 2 * x * images[3]);
      }
    }
  }
}

// Which pixel of each window is the largest, counted line by line: uint8 [N, H / 2, W / 2, C].
Tensor Choose(const Tensor& images) {
  const auto sizes = images.sizes();
  const int64_t channels = sizes[3];
  const int64_t line = sizes[2] * channels;
  Tensor choice = at::empty({sizes[0], sizes[1] / 2, sizes[2] / 2, channels},
                            images.options().dtype(at::kByte));
  auto* chosen = choice.mutable_data_ptr<uint8_t>();
  AT_DISPATCH_FLOATING_TYPES(images.scalar_type(), "MaxPool2x2", [&] {
    const auto* pixels = images.const_data_ptr<scalar_t>();
    ForEachWindow(sizes, [&](int64_t place, int64_t pixel) {
      const int64_t offsets[4] = {0, channels, line, line + channels};
      for (int64_t c = 0; c < channels; ++c) {
        uint8_t best = 0;
        scalar_t largest = pixels[pixel + c];
        for (uint8_t k = 1; k < 4; ++k) {
          const scalar_t value = pixels[pixel + offsets[k] + c];
          // A NaN wins, so that it stays visible.
          best = value > largest || value != value ? k : best;
          largest = best == k ? value : largest;
        }
        chosen[place + c] = best;
      }
    });
  });
  return choice;
}

// The chosen pixels and its transpose: a closed pair of linear maps.
struct PickFunction : Function<PickFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& choice) {
    const Tensor images = input.contiguous();
    const auto sizes = images.sizes();
    context->save_for_backward({choice});
    context->saved_data["images"] = sizes.vec();
    Tensor picked = at::empty(choice.sizes(), images.options());
    const int64_t channels = sizes[3];
    const int64_t line = sizes[2] * channels;
    const auto* chosen = choice.const_data_ptr<uint8_t>();
    AT_DISPATCH_FLOATING_TYPES(images.scalar_type(), "MaxPool2x2", [&] {
      const auto* from = images.const_data_ptr<scalar_t>();
      auto* to = picked.mutable_data_ptr<scalar_t>();
      ForEachWindow(sizes, [&](int64_t place, int64_t pixel) {
        for (int64_t c = 0; c < channels; ++c) {
          const uint8_t k = chosen[place + c];
          to[place + c] = from[pixel + c + (k / 2) * line + (k % 2) * channels];
        }
      });
    });
    return picked;
  }
  static Tensors backward(AutogradContext* context, Tensors gradients);
};

struct PlaceFunction : Function<PlaceFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& choice,
                        std::vector<int64_t> sizes) {
    const Tensor values = input.contiguous();
    context->save_for_backward({choice});
    Tensor images = at::zeros(sizes, values.options());
    const int64_t channels = sizes[3];
    const int64_t line = sizes[2] * channels;
    const auto* chosen = choice.const_data_ptr<uint8_t>();
    AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "MaxPool2x2", [&] {
      const auto* from = values.const_data_ptr<scalar_t>();
      auto* to = images.mutable_data_ptr<scalar_t>();
      ForEachWindow(sizes, [&](int64_t place, int64_t pixel) {
        for (int64_t c = 0; c < channels; ++c) {
          const uint8_t k = chosen[place + c];
          to[pixel + c + (k / 2) * line + (k % 2) * channels] = from[place + c];
        }
      });
    });
    return images;
  }
  static Tensors backward(AutogradContext* context, Tensors gradients) {
    return {PickFunction::apply(gradients[0], context->get_saved_variables()[0]), Tensor(),
            Tensor()};
  }
};

Tensors PickFunction::backward(AutogradContext* context, Tensors gradients) {
  return {PlaceFunction::apply(gradients[0], context->get_saved_variables()[0],
                               context->saved_data["images"].toIntVector()),
          Tensor()};
}

}  // namespace

Tensor MaxPool2x2(const Tensor& images) {
  TORCH_CHECK(images.dim() == 4 && images.size(1) >= 2 && images.size(2) >= 2,
              "MaxPool2x2: wants images [N, H, W, C] of 2x2 or more, got ", images.sizes());
  const Tensor pixels = images.contiguous();
  return PickFunction::apply(pixels, Choose(pixels.detach()));
}

}  // namespace innerloop::meta
