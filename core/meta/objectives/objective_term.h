// One term of a meta-objective.
#pragma once

#include <cstddef>

#include "core/meta/objectives/inner_loops.h"

namespace innerloop::meta {

// A value for each task, the sum of what the points of its inner loop add. Immutable; any thread.
class ObjectiveTerm {
 public:
  virtual ~ObjectiveTerm() = default;
  // [T]: what point `step` (1 .. K) of the inner loops adds; undefined when nothing. Called for
  // each step where needs_every_point(), else for the last alone. Depends on the points 0 and
  // `step` of the loops' paths, and differentiates by them: exactly where they carry a graph.
  virtual Tensor ValuesAt(size_t step, InnerLoops& loops) const = 0;
  // Whether tasks need a second support set.
  virtual bool needs_second_support() const { return false; }
  // Whether it looks at points between the first and the last.
  virtual bool needs_every_point() const { return false; }
};

}  // namespace innerloop::meta
