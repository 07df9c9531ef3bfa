#include "core/support/random.h"

#include <cmath>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop {
namespace {

using ::testing::ElementsAre;

// The known-answer vectors of Random123 (kat_vectors, "philox4x32 10").
TEST(Philox, HasThePublishedValues) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U));
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  EXPECT_THAT(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU));
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09U, 0x94fdcceb, 0x5001e420U, 0x24126ea1U));
}

TEST(CounterRandom, RepeatsItselfForTheSameKeyAndForNoOther) {
  const auto first = [](uint64_t seed, RandomPurpose purpose, uint32_t a, uint64_t b, uint32_t c) {
    return CounterRandom(seed, purpose, a, b, c).NextU64();
  };
  const uint64_t value = first(1, RandomPurpose::kTask, 2, 3, 4);
  EXPECT_EQ(first(1, RandomPurpose::kTask, 2, 3, 4), value);
  const std::set<uint64_t> all = {value,
                                  first(2, RandomPurpose::kTask, 2, 3, 4),
                                  first(1ULL << 32 | 1, RandomPurpose::kTask, 2, 3, 4),
                                  first(1, RandomPurpose::kClassSplit, 2, 3, 4),
                                  first(1, RandomPurpose::kTask, 3, 3, 4),
                                  first(1, RandomPurpose::kTask, 2, 4, 4),
                                  first(1, RandomPurpose::kTask, 2, 1ULL << 32 | 3, 4),
                                  first(1, RandomPurpose::kTask, 2, 3, 5)};
  EXPECT_EQ(all.size(), 8U);
}

// 0.1 % quantiles of chi-squared: a fixed stream passes for ever or never.
TEST(CounterRandom, BelowIsUniform) {
  for (const auto& [bound, limit] : {std::pair{7ULL, 22.46}, {20ULL, 43.82}, {64ULL, 103.44}}) {
    CounterRandom random(/*seed=*/5, RandomPurpose::kTask);
    std::vector<int> counts(bound);
    constexpr int kDraws = 100'000;
    for (int i = 0; i < kDraws; ++i) {
      const uint64_t value = random.Below(bound);
      ASSERT_LT(value, bound);
      ++counts[value];
    }
    const double expected = static_cast<double>(kDraws) / static_cast<double>(bound);
    double chi_squared = 0;
    for (const int count : counts) {
      chi_squared += (count - expected) * (count - expected) / expected;
    }
    EXPECT_LT(chi_squared, limit) << bound;
    EXPECT_GT(chi_squared, 0) << bound;
  }
}

// With a bound of 3/4 of 2^64, values taken modulo it without rejection would fall into the lowest
// third half of the time.
TEST(CounterRandom, BelowHasNoBiasForHugeBounds) {
  CounterRandom random(/*seed=*/6, RandomPurpose::kTask);
  const uint64_t bound = 3ULL << 62;
  int low = 0;
  for (int i = 0; i < 30'000; ++i) {
    low += random.Below(bound) < (1ULL << 62) ? 1 : 0;
  }
  EXPECT_NEAR(low, 10'000, 330);  // four standard deviations
}

TEST(CounterRandom, SamplesAreDistinctAndEachValueIsAsLikely) {
  CounterRandom random(/*seed=*/7, RandomPurpose::kTask);
  std::vector<int> counts(10);
  for (int i = 0; i < 10'000; ++i) {
    const std::vector<uint64_t> sample = random.Sample(/*population=*/10, /*count=*/4);
    ASSERT_EQ(std::set<uint64_t>(sample.begin(), sample.end()).size(), 4U);
    for (const uint64_t value : sample) {
      ASSERT_LT(value, 10U);
      ++counts[value];
    }
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 4'000, 200);  // four standard deviations
  }
}

TEST(CounterRandom, PermutationsHoldEachValueOnce) {
  CounterRandom random(/*seed=*/8, RandomPurpose::kTask);
  const std::vector<uint64_t> order = random.Permutation(1000);
  EXPECT_EQ(std::set<uint64_t>(order.begin(), order.end()).size(), 1000U);
  EXPECT_NE(order.front(), 0U);
  EXPECT_THAT(random.Sample(1, 1), ElementsAre(0));
  EXPECT_THAT(random.Sample(5, 0), ElementsAre());
}

TEST(CounterRandom, NormalsHaveTheirMoments) {
  CounterRandom random(/*seed=*/9, RandomPurpose::kInitialisation);
  constexpr int kDraws = 200'000;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.Normal();
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  // Four standard errors: sqrt(1/n), sqrt(2/n), sqrt(96/n).
  EXPECT_NEAR(sum / kDraws, 0, 0.009);
  EXPECT_NEAR(squares / kDraws, 1, 0.013);
  EXPECT_NEAR(fourth / kDraws, 3, 0.088);
}

TEST(CounterRandom, UniformsStayInsideTheirInterval) {
  CounterRandom random(/*seed=*/10, RandomPurpose::kTask);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const float value = random.UniformFloat();
    ASSERT_TRUE(value >= 0 && value < 1);
    const double in_range = random.Uniform(-5, 5);
    ASSERT_TRUE(in_range >= -5 && in_range < 5);
    sum += in_range;
  }
  EXPECT_NEAR(sum / 10'000, 0, 0.12);  // four standard errors
}

}  // namespace
}  // namespace innerloop
