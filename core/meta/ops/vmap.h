// Computing a function of one task for all tasks at once, by LibTorch's vmap. Its C++ interface is
// not a supported one: everything that touches it is here.
#pragma once

#include <cstdint>

#include "core/meta/tensors.h"

namespace innerloop::meta {

// While it lives, this thread's operators work on tensors from Enter as if they were one task's,
// and do so for all tasks. Differentiation stays outside: Enter and Leave carry the graph. Inside,
// an operator raises when it is random, asks for a value (item), writes a task's values into a
// tensor that all share, or is an autograd::Function of C++. One thread only; may not be nested.
class TaskMap {
 public:
  explicit TaskMap(int64_t tasks);
  // An exception on the way must not leave this thread inside.
  ~TaskMap();
  TaskMap(const TaskMap&) = delete;
  TaskMap& operator=(const TaskMap&) = delete;

  // [T, ...], seen as [...].
  Tensor Enter(const Tensor& values) const;
  // What was computed, as [T, ...]; alike for all tasks where it depends on none.
  Tensor Leave(const Tensor& result) const;

 private:
  const int64_t tasks_;
  const int64_t level_;
};

}  // namespace innerloop::meta
