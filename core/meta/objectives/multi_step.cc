#include "core/meta/objectives/multi_step.h"

#include <algorithm>
#include <vector>

namespace innerloop::meta {
namespace {

class MultiStep final : public ObjectiveTerm {
 public:
  explicit MultiStep(const v1::MultiStepQueryLoss& spec)
      : weights_(spec.step_weights().begin(), spec.step_weights().end()),
        anneal_iterations_(spec.anneal_iterations()) {}

  Tensor ValuesAt(size_t step, InnerLoops& loops) const override {
    TORCH_CHECK(weights_.size() == loops.steps(), "multi_step_query_loss has ", weights_.size(),
                " weights for ", loops.steps(), " inner steps");
    const double weight = Weight(step, loops.tasks().key.iteration);
    return weight == 0 ? Tensor() : weight * loops.QueriesAt(step).losses;
  }
  bool needs_every_point() const override { return true; }

 private:
  double Weight(size_t step, uint64_t iteration) const {
    const double given = weights_[step - 1];
    if (anneal_iterations_ == 0) {
      return given;
    }
    const double annealed =
        std::min(1.0, static_cast<double>(iteration) / static_cast<double>(anneal_iterations_));
    const double goal = step == weights_.size() ? 1 : 0;
    return given + annealed * (goal - given);
  }

  const std::vector<double> weights_;  // after steps 1 .. K
  const uint64_t anneal_iterations_;
};

}  // namespace

std::unique_ptr<ObjectiveTerm> CreateMultiStepQueryLoss(const v1::MultiStepQueryLoss& resolved) {
  return std::make_unique<MultiStep>(resolved);
}

}  // namespace innerloop::meta
