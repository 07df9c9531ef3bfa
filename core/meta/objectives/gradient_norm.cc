#include "core/meta/objectives/gradient_norm.h"

#include "core/meta/objectives/parameter_distance.h"

namespace innerloop::meta {
namespace {

class GradientNorm final : public ObjectiveTerm {
 public:
  Tensor ValuesAt(size_t step, InnerLoops& loops) const override {
    const Tensor& losses = loops.QueriesAt(step).losses;
    // Tasks are independent, so that the gradient of the losses' sum holds each task's own.
    const Tensors gradients = torch::autograd::grad({losses}, loops.path().points[step],
                                                    {at::ones_like(losses)}, /*retain_graph=*/true,
                                                    /*create_graph=*/true, /*allow_unused=*/true);
    Tensors defined;
    for (const Tensor& gradient : gradients) {
      if (gradient.defined()) {
        defined.push_back(gradient);
      }
    }
    return 0.5 * SquaredNorms(defined);
  }
};

}  // namespace

std::unique_ptr<ObjectiveTerm> CreateGradientNorm() { return std::make_unique<GradientNorm>(); }

}  // namespace innerloop::meta
