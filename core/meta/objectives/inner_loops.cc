#include "core/meta/objectives/inner_loops.h"

#include "core/meta/objectives/loss.h"

namespace innerloop::meta {
namespace {

Tensor EveryOther(const Tensor& values, int64_t first) {
  return values.defined() ? values.slice(1, first, values.size(1), 2).contiguous() : values;
}

Examples Half(const Examples& examples, int64_t first) {
  return {.inputs = EveryOther(examples.inputs, first),
          .targets = EveryOther(examples.targets, first),
          .weights = EveryOther(examples.weights, first)};
}

}  // namespace

SupportSets SplitSupport(const TaskBatch& tasks) {
  TORCH_CHECK(tasks.support.count() % 2 == 0, "two support sets of ", tasks.support.count(),
              " examples");
  SupportSets sets{.tasks = tasks, .second = Half(tasks.support, 1)};
  sets.tasks.support = Half(tasks.support, 0);
  return sets;
}

const InnerLoops::Queries& InnerLoops::QueriesAt(size_t step) {
  std::optional<Queries>& known = step == steps() ? at_last_ : between_;
  if (!known.has_value() || (step != steps() && step != between_step_)) {
    const Tensor outputs = model_.Forward(path_.points[step], tasks_.query.inputs, {});
    known = Queries{.outputs = outputs, .losses = TaskLosses(loss_, outputs, tasks_.query)};
    between_step_ = step == steps() ? between_step_ : step;
  }
  return *known;
}

}  // namespace innerloop::meta
