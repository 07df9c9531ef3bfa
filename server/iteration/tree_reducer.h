// The sum of an iteration's shards.
#pragma once

#include <cstddef>
#include <vector>

#include "core/tensor/parameter_set.h"

namespace innerloop::server {

// Adds buffers up in a fixed binary tree over their indices: neighbours in pairs, level by level;
// the last one of a level with an odd number moves up as it is. Float addition is commutative but
// not associative, so the sum's bits depend on the tree alone, not on the order in which buffers
// come. Holds at most half of the buffers at a time. Used by the OuterLoop. One thread only.
class TreeReducer {
 public:
  // Begins a sum over `leaves` > 0 buffers of equal size.
  void Reset(size_t leaves);
  // Each leaf exactly once.
  void Add(size_t leaf, FlatBuffer buffer);
  bool complete() const { return added_ == leaves_; }
  // The sum. Call once when complete.
  FlatBuffer Take() { return std::move(root_); }

 private:
  size_t leaves_ = 0;
  size_t added_ = 0;
  // By level and index in the level: sums that wait for their siblings.
  std::vector<std::vector<FlatBuffer>> waiting_;
  FlatBuffer root_;
};

}  // namespace innerloop::server
