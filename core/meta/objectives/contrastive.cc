#include "core/meta/objectives/contrastive.h"

#include "core/meta/objectives/parameter_distance.h"

namespace innerloop::meta {
namespace {

// [T]: Euclidean distances between each task's rows of a and b. The root alone has no derivative at
// 0, where 0 is taken: equal points have no direction in which to move.
Tensor Distances(const Tensors& a, const Tensors& b) {
  Tensors differences;
  differences.reserve(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    differences.push_back(a[i] - b[i]);
  }
  const Tensor squares = SquaredNorms(differences);
  const Tensor apart = squares > 0;
  return at::where(apart, at::where(apart, squares, 1).sqrt(), 0);
}

class Contrastive final : public ObjectiveTerm {
 public:
  explicit Contrastive(const v1::Contrastive& spec)
      : margin_(spec.margin()), embeddings_(spec.space() == v1::Contrastive::SPACE_EMBEDDINGS) {}

  Tensor ValuesAt(size_t step, InnerLoops& loops) const override {
    TORCH_CHECK(loops.tasks().tasks() > 1, "a contrastive term with one task in a chunk");
    const Tensors anchor = PointsOf(loops.path().points[step], loops);
    const Tensors positive = PointsOf(loops.second().points[step], loops);
    Tensors negative;
    negative.reserve(anchor.size());
    for (const Tensor& tensor : anchor) {
      negative.push_back(tensor.roll(-1, 0));
    }
    return at::relu(margin_ + Distances(anchor, positive) - Distances(anchor, negative));
  }
  bool needs_second_support() const override { return true; }

 private:
  // The tasks' points in the space of the distance, [T, ...].
  Tensors PointsOf(const Tensors& parameters, const InnerLoops& loops) const {
    if (!embeddings_) {
      return parameters;
    }
    const Examples& query = loops.tasks().query;
    const Tensor features = loops.model().Features(parameters, query.inputs, {});
    if (!query.weights.defined()) {
      return {features.mean(1)};
    }
    const Tensor weights = query.weights.to(features.scalar_type()).unsqueeze(2);
    return {(features * weights).sum(1) / weights.sum(1).clamp_min(1)};
  }

  const double margin_;
  const bool embeddings_;
};

}  // namespace

std::unique_ptr<ObjectiveTerm> CreateContrastive(const v1::Contrastive& resolved) {
  return std::make_unique<Contrastive>(resolved);
}

}  // namespace innerloop::meta
