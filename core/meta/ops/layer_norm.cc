#include "core/meta/ops/layer_norm.h"

namespace innerloop::meta {

Tensor LayerNorm(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  const auto per_channel = [](const Tensor& t) { return t.unsqueeze(1).unsqueeze(1); };
  const Tensor centred = x - x.mean({2, 3}, /*keepdim=*/true);
  const Tensor variance = centred.square().mean({2, 3}, /*keepdim=*/true);
  return centred * (variance + 1e-5).rsqrt() * per_channel(scale) + per_channel(shift);
}

}  // namespace innerloop::meta
