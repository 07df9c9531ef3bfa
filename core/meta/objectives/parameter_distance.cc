#include "core/meta/objectives/parameter_distance.h"

namespace innerloop::meta {
namespace {

class ParameterDistance final : public ObjectiveTerm {
 public:
  explicit ParameterDistance(bool through) : through_(through) {}

  Tensor ValuesAt(size_t step, InnerLoops& loops) const override {
    const Tensors& initial = loops.path().points.front();
    const Tensors& adapted = loops.path().points[step];
    Tensors way;
    way.reserve(initial.size());
    for (size_t i = 0; i < initial.size(); ++i) {
      way.push_back(initial[i] - (through_ ? adapted[i] : adapted[i].detach()));
    }
    return 0.5 * SquaredNorms(way);
  }

 private:
  const bool through_;
};

}  // namespace

Tensor SquaredNorms(const Tensors& tensors) {
  Tensor sum;
  for (const Tensor& tensor : tensors) {
    const Tensor squares = tensor.flatten(1).square().sum(1);
    sum = sum.defined() ? sum + squares : squares;
  }
  return sum;
}

std::unique_ptr<ObjectiveTerm> CreateParameterDistance(const v1::ParameterDistance& resolved) {
  return std::make_unique<ParameterDistance>(resolved.through_adaptation());
}

}  // namespace innerloop::meta
