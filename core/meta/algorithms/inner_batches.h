// The examples of each inner step.
#pragma once

#include <vector>

#include "core/meta/tensors.h"
#include "core/support/random.h"

namespace innerloop::meta {

// Mini-batches of a batch of tasks' support sets: each task's examples without replacement until
// all were used, then again in a new order (a mini-batch may straddle the two). Task t's order is a
// function of (key, t) alone. One thread only; `tasks` must outlive it.
class InnerBatches {
 public:
  // `size` 0, or one that no support set exceeds: the whole support set in each step.
  InnerBatches(const TaskBatch& tasks, int64_t size);
  // Of the next step; [T, size, ...].
  Examples Next();

 private:
  struct Order {
    CounterRandom random;
    std::vector<uint64_t> rows;
    size_t used = 0;
  };

  const TaskBatch& tasks_;
  const int64_t size_;
  std::vector<Order> orders_;  // one for each task; empty when every step takes all
};

}  // namespace innerloop::meta
