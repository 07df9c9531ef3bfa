// Examples as the fused kernels read them. No LibTorch, no Highway.
#pragma once

#include <cstddef>
#include <cstdint>

namespace innerloop::meta::fused {

// What the loss of one task's support or query set compares the outputs with.
struct LossRows {
  size_t count = 0;
  const float* values = nullptr;     // [count, padded_outputs]: targets of a regression
  const int64_t* classes = nullptr;  // [count]: targets of a classification
  const float* shares =
      nullptr;  // [count]: of each row in the mean; they add up to 1 (0: all padding)
};

// The support or query sets of T tasks, as row-major plain arrays.
struct ExampleArrays {
  size_t count = 0;                  // examples of each task (n)
  const float* inputs = nullptr;     // [T, n, inputs]
  const float* values = nullptr;     // [T, n, outputs]: of a regression
  const int64_t* classes = nullptr;  // [T, n]: of a classification
  const float* weights = nullptr;    // [T, n]; null when every example counts 1
};

struct TaskArrays {
  size_t tasks = 0;
  ExampleArrays support;
  ExampleArrays query;
};

}  // namespace innerloop::meta::fused
