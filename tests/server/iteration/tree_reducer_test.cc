#include "server/iteration/tree_reducer.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

// Values whose float sums depend on the order of addition.
FlatBuffer Leaf(size_t leaf, int64_t size) {
  std::mt19937 random(static_cast<unsigned>(leaf) + 1);
  FlatBuffer buffer(size);
  for (float& value : buffer.values()) {
    value =
        std::uniform_real_distribution<float>(-1, 1)(random) * (random() % 2 == 0 ? 1e6F : 1e-3F);
  }
  return buffer;
}

// The same tree, written down recursively: level by level, neighbours in pairs, an odd last one
// moves up.
std::vector<float> SumOf(size_t leaves, int64_t size) {
  std::vector<std::vector<float>> level;
  for (size_t i = 0; i < leaves; ++i) {
    const FlatBuffer leaf = Leaf(i, size);
    level.emplace_back(leaf.values().begin(), leaf.values().end());
  }
  while (level.size() > 1) {
    std::vector<std::vector<float>> above;
    for (size_t i = 0; i < level.size(); i += 2) {
      above.push_back(level[i]);
      for (size_t j = 0; i + 1 < level.size() && j < above.back().size(); ++j) {
        above.back()[j] = above.back()[j] + level[i + 1][j];
      }
    }
    level = std::move(above);
  }
  return level[0];
}

TEST(TreeReducerTest, EveryOrderOfArrivalGivesTheSameBits) {
  constexpr int64_t kSize = 33;
  std::mt19937 random(7);
  TreeReducer reducer;
  for (size_t leaves = 1; leaves <= 40; ++leaves) {
    const std::vector<float> expected = SumOf(leaves, kSize);
    std::vector<size_t> order(leaves);
    std::iota(order.begin(), order.end(), 0);
    for (int round = 0; round < 10; ++round) {
      reducer.Reset(leaves);
      for (size_t leaf : order) {
        EXPECT_FALSE(reducer.complete());
        reducer.Add(leaf, Leaf(leaf, kSize));
      }
      ASSERT_TRUE(reducer.complete());
      const FlatBuffer sum = reducer.Take();
      EXPECT_EQ(0, std::memcmp(sum.data(), expected.data(), kSize * sizeof(float)))
          << leaves << " leaves, round " << round;
      std::shuffle(order.begin(), order.end(), random);
    }
  }
}

TEST(TreeReducerTest, ABrokenOffSumLeavesNothingBehind) {
  TreeReducer reducer;
  reducer.Reset(4);
  reducer.Add(0, Leaf(9, 5));
  reducer.Add(2, Leaf(9, 5));
  reducer.Reset(4);
  for (size_t leaf : {3, 2, 1, 0}) {
    reducer.Add(leaf, Leaf(leaf, 5));
  }
  const FlatBuffer sum = reducer.Take();
  const std::vector<float> expected = SumOf(4, 5);
  EXPECT_EQ(0, std::memcmp(sum.data(), expected.data(), 5 * sizeof(float)));
}

}  // namespace
}  // namespace innerloop::server
