#include "core/meta/algorithms/inner_batches.h"

namespace innerloop::meta {

InnerBatches::InnerBatches(const TaskBatch& tasks, int64_t size) : tasks_(tasks), size_(size) {
  if (size == 0 || size >= tasks.support.count()) {
    return;
  }
  for (int64_t t = 0; t < tasks.tasks(); ++t) {
    orders_.push_back({.random = CounterRandom(
                           tasks.key.seed, RandomPurpose::kInnerBatches,
                           static_cast<uint32_t>(tasks.key.split), tasks.key.iteration,
                           static_cast<uint32_t>(tasks.first_task + static_cast<uint64_t>(t))),
                       .rows = {}});
  }
}

Examples InnerBatches::Next() {
  const Examples& support = tasks_.support;
  if (orders_.empty()) {
    return support;
  }
  const auto count = static_cast<uint64_t>(support.count());
  Tensor rows = at::empty({tasks_.tasks(), size_}, at::kLong);
  auto* row = rows.data_ptr<int64_t>();
  for (size_t t = 0; t < orders_.size(); ++t) {
    Order& order = orders_[t];
    for (int64_t i = 0; i < size_; ++i) {
      if (order.used == order.rows.size()) {
        order.rows = order.random.Permutation(count);
        order.used = 0;
      }
      *row++ = static_cast<int64_t>(t * count + order.rows[order.used++]);
    }
  }
  rows = rows.flatten().to(support.inputs.device());
  const auto gather = [&](const Tensor& values) {
    return values.defined()
               ? values.flatten(0, 1).index_select(0, rows).unflatten(0, {tasks_.tasks(), size_})
               : values;
  };
  return {.inputs = gather(support.inputs),
          .targets = gather(support.targets),
          .weights = gather(support.weights)};
}

}  // namespace innerloop::meta
