#include "server/iteration/tree_reducer.h"

#include <cstdint>
#include <utility>

namespace innerloop::server {
namespace {

void AddTo(FlatBuffer& sum, const FlatBuffer& other) {
  float* a = sum.data();
  const float* b = other.data();
  const int64_t size = sum.size();
  for (int64_t i = 0; i < size; ++i) {
    a[i] += b[i];
  }
}

}  // namespace

void TreeReducer::Reset(size_t leaves) {
  leaves_ = leaves;
  added_ = 0;
  root_ = FlatBuffer();
  size_t levels = 0;
  for (size_t width = leaves; width > 1; width = (width + 1) / 2) {
    if (waiting_.size() <= levels) {
      waiting_.emplace_back();
    }
    waiting_[levels].clear();
    waiting_[levels].resize(width);
    ++levels;
  }
}

void TreeReducer::Add(size_t leaf, FlatBuffer buffer) {
  ++added_;
  size_t index = leaf;
  size_t level = 0;
  for (size_t width = leaves_; width > 1; width = (width + 1) / 2) {
    const size_t sibling = index ^ 1;
    if (sibling < width) {
      FlatBuffer& other = waiting_[level][sibling];
      if (other.empty()) {
        waiting_[level][index] = std::move(buffer);
        return;
      }
      AddTo(buffer, other);
      other = FlatBuffer();
    }
    index /= 2;
    ++level;
  }
  root_ = std::move(buffer);
}

}  // namespace innerloop::server
