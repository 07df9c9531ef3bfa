#include "core/meta/objectives/inner_loops.h"

#include <limits>

#include "core/meta/objectives/loss.h"

namespace innerloop::meta {
namespace {

// [T, n]: the places of each task's examples by class, padding last; as they come where there are
// no classes.
Tensor PlacesByClass(const Examples& examples) {
  const Tensor& targets = examples.targets;
  if (targets.is_floating_point()) {
    return at::arange(examples.count(), targets.options().dtype(at::kLong))
        .repeat({examples.tasks(), 1});
  }
  const Tensor classes =
      examples.weights.defined()
          ? targets.masked_fill(examples.weights == 0, std::numeric_limits<int64_t>::max())
          : targets;
  return at::argsort(classes, /*stable=*/true, /*dim=*/int64_t{1});
}

// Every other example of `places`, counted from `first`.
Examples Half(const Examples& examples, const Tensor& places, int64_t first) {
  const int64_t tasks = examples.tasks();
  const int64_t count = examples.count();
  const Tensor begins = at::arange(tasks, places.options()).unsqueeze(1) * count;
  const Tensor rows = (places.slice(1, first, count, 2) + begins).flatten();
  const auto gather = [&](const Tensor& values) {
    return values.defined()
               ? values.flatten(0, 1).index_select(0, rows).unflatten(0, {tasks, count / 2})
               : values;
  };
  return {.inputs = gather(examples.inputs),
          .targets = gather(examples.targets),
          .weights = gather(examples.weights)};
}

}  // namespace

SupportSets SplitSupport(const TaskBatch& tasks) {
  TORCH_CHECK(tasks.support.count() % 2 == 0, "two support sets of ", tasks.support.count(),
              " examples");
  const Tensor places = PlacesByClass(tasks.support);
  SupportSets sets{.tasks = tasks, .second = Half(tasks.support, places, 1)};
  sets.tasks.support = Half(tasks.support, places, 0);
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
