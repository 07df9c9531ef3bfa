// The few types that everything in core/meta shares. Includes LibTorch: include it in source files
// and in headers of core/meta only.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "innerloop/v1/job.pb.h"

namespace innerloop::meta {

using torch::Tensor;
// Parameters, gradients or updates in the order of a model's or an algorithm's list.
using Tensors = std::vector<Tensor>;

// Examples of T tasks, n each.
struct Examples {
  Tensor inputs;   // [T, n, ...input shape], floating point
  Tensor targets;  // classification: int64 [T, n]; regression: [T, n, D]
  // [T, n], 0 for padding; undefined when every example counts 1.
  Tensor weights;
  int64_t tasks() const { return inputs.size(0); }
  int64_t count() const { return inputs.size(1); }
};

// What a task's generator is keyed by, besides its index.
struct TaskKey {
  uint64_t seed = 0;
  v1::Split split = v1::SPLIT_TRAIN;
  uint64_t iteration = 0;
};

// T consecutive tasks.
struct TaskBatch {
  TaskKey key;
  uint64_t first_task = 0;
  Examples support;
  Examples query;
  int64_t tasks() const { return support.tasks(); }
};

}  // namespace innerloop::meta
