#include "core/meta/models/initialiser.h"

#include <cmath>

#include "gtest/gtest.h"

namespace innerloop::meta {
namespace {

using Kind = Initialiser::Kind;

constexpr int64_t kCount = 200'000;
// Five standard errors of a mean of kCount values with deviation 1; for the deviation itself less.
const double kFiveErrors = 5 / std::sqrt(kCount);

Tensor Draw(Kind kind, int64_t fan_in = 50, int64_t fan_out = 30, uint32_t index = 3) {
  return DrawInitial({kind, fan_in, fan_out}, {kCount / 100, 100}, /*seed=*/11, index)
      .to(at::kDouble);
}

void ExpectMoments(const Tensor& values, double deviation) {
  EXPECT_NEAR(values.mean().item<double>(), 0, kFiveErrors * deviation);
  EXPECT_NEAR(values.std().item<double>(), deviation, kFiveErrors * deviation);
}

TEST(InitialiserTest, NormalSchemesHaveTheirDeviations) {
  ExpectMoments(Draw(Kind::kHeNormal), std::sqrt(2.0 / 50));
  ExpectMoments(Draw(Kind::kLecunNormal), std::sqrt(1.0 / 50));
}

TEST(InitialiserTest, GlorotUniformFillsItsInterval) {
  const Tensor values = Draw(Kind::kGlorotUniform);
  const double bound = std::sqrt(6.0 / 80);
  ExpectMoments(values, bound / std::sqrt(3.0));
  EXPECT_LE(values.abs().max().item<double>(), bound * (1 + 1e-6));
  EXPECT_GT(values.abs().max().item<double>(), bound * 0.999);
}

TEST(InitialiserTest, TruncatedNormalEndsAtTwoDeviations) {
  const Tensor values = Draw(Kind::kTruncatedNormal);
  EXPECT_LE(values.abs().max().item<double>(), 0.02 * (1 + 1e-6));
  EXPECT_GT(values.abs().max().item<double>(), 0.0199);
  // Variance of a normal cut at two deviations: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737.
  ExpectMoments(values, 0.01 * std::sqrt(0.77374));
}

TEST(InitialiserTest, UniformFillsTheIntervalThatIsGiven) {
  const Tensor values =
      DrawInitial({.kind = Kind::kUniform, .low = -5, .high = -4}, {10'000}, /*seed=*/1, 0);
  EXPECT_NEAR(values.mean().item<double>(), -4.5, 0.02);
  EXPECT_NEAR(values.std().item<double>(), 1 / std::sqrt(12.0), 0.01);
  EXPECT_GE(values.min().item<double>(), -5);
  EXPECT_LE(values.max().item<double>(), -4);
}

TEST(InitialiserTest, ZerosAndOnesAreThat) {
  EXPECT_TRUE(Draw(Kind::kZeros).eq(0).all().item<bool>());
  EXPECT_TRUE(Draw(Kind::kOnes).eq(1).all().item<bool>());
}

TEST(InitialiserTest, ValuesAreAFunctionOfSeedAndIndex) {
  EXPECT_TRUE(at::equal(Draw(Kind::kHeNormal), Draw(Kind::kHeNormal)));
  EXPECT_FALSE(at::equal(Draw(Kind::kHeNormal, 50, 30, 3), Draw(Kind::kHeNormal, 50, 30, 4)));
  EXPECT_FALSE(at::equal(DrawInitial({Kind::kHeNormal, 1, 1}, {8}, 1, 0),
                         DrawInitial({Kind::kHeNormal, 1, 1}, {8}, 2, 0)));
}

}  // namespace
}  // namespace innerloop::meta
