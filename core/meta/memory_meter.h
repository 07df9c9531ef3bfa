// How much memory tensors take.
#pragma once

#include <cstdint>
#include <memory>

#include "core/meta/tensors.h"

#include <c10/util/ThreadLocalDebugInfo.h>

namespace innerloop::meta {

// While it lives, counts the tensors that this thread makes and lets go (on the CPU). Nothing that
// was made before may be let go meanwhile. Costs about a tenth of a microsecond for each tensor.
// One thread only; scopes nest like a stack, where the innermost counts.
class MemoryMeter {
 public:
  MemoryMeter();
  // The most bytes held at one time so far.
  int64_t peak() const;

 private:
  class Counter;
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard scope_;
};

}  // namespace innerloop::meta
