// Scratch memory of a compute thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "hwy/aligned_allocator.h"

namespace innerloop::meta::fused {

// Hands out zeroed pieces of floats, aligned for vectors, and takes them all back at once. The
// kernels keep one in each thread, so that a call takes no memory once an equal one was made. One
// thread only.
class Arena {
 public:
  // Takes back all pieces. What was handed out in several blocks fits a single one from here on.
  void Reset() {
    if (blocks_.size() > 1) {
      size_t total = 0;
      for (const Block& block : blocks_) {
        total += block.size;
      }
      blocks_.clear();
      AddBlock(total);
    }
    used_ = 0;
  }

  float* Take(size_t floats) {
    const size_t size = (floats + kMultiple - 1) / kMultiple * kMultiple;
    if (blocks_.empty() || used_ + size > blocks_.back().size) {
      AddBlock(std::max(size, kSmallestBlock));
      used_ = 0;
    }
    float* piece = blocks_.back().data.get() + used_;
    used_ += size;
    std::memset(piece, 0, size * sizeof(float));
    return piece;
  }

 private:
  struct Block {
    hwy::AlignedFreeUniquePtr<float[]> data;
    size_t size = 0;
  };
  void AddBlock(size_t size) {
    Block block = {hwy::AllocateAligned<float>(size), size};
    if (block.data == nullptr) {
      throw std::bad_alloc();
    }
    blocks_.push_back(std::move(block));
  }

  static constexpr size_t kMultiple = 16;
  static constexpr size_t kSmallestBlock = 1 << 16;
  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace innerloop::meta::fused
