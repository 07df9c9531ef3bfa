#include "server/tensorboard/iteration_means.h"

#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

v1::IterationRecord At(uint64_t iteration, double seconds, double meta_loss) {
  v1::IterationRecord record;
  record.set_iteration(iteration);
  record.set_seconds(seconds);
  record.set_meta_loss(meta_loss);
  return record;
}

std::map<std::string, double> Values(const IterationMeans& means) {
  std::map<std::string, double> values;
  for (const MeanMeasure& measure : means.measures) {
    values[measure.tag] = measure.value;
  }
  return values;
}

TEST(IterationWindowsTest, AThousandIterationsASecondBecomeAPointASecond) {
  IterationWindows windows;
  std::vector<std::pair<uint64_t, double>> points;
  for (uint64_t i = 0; i <= 3000; ++i) {
    // Multiples of 2^-10 are exact.
    if (const auto means = windows.Add(At(i, static_cast<double>(i) / 1024, 1.0 * (i % 2)))) {
      points.emplace_back(means->step, Values(*means).at("training/meta_loss"));
      if (i > 0) {
        EXPECT_EQ(Values(*means).at("training/iterations_per_second"), 1024);
      }
    }
  }
  // The first iteration, and then means over 1,024 of them.
  EXPECT_THAT(points, ElementsAre(Pair(1, 0), Pair(1025, 0.5), Pair(2049, 0.5)));
  const auto rest = windows.Rest();
  ASSERT_TRUE(rest.has_value());
  EXPECT_EQ(rest->step, 3001);
  EXPECT_FALSE(windows.Rest().has_value());
}

TEST(IterationWindowsTest, SlowIterationsArePointsOfTheirOwn) {
  IterationWindows windows;
  for (uint64_t i = 0; i < 5; ++i) {
    const auto means = windows.Add(At(i, 2.5 * static_cast<double>(i), 0.25));
    ASSERT_TRUE(means.has_value());
    EXPECT_EQ(means->step, i + 1);
    EXPECT_EQ(means->seconds, 2.5 * static_cast<double>(i));
  }
}

TEST(IterationWindowsTest, WhatOnlySomeIterationsMeasureIsTheMeanOverThose) {
  IterationWindows windows;
  windows.Add(At(0, 0, 1));
  v1::IterationRecord detailed = At(1, 0.5, 1);
  detailed.set_query_loss_before(4);
  windows.Add(detailed);
  const auto means = windows.Add(At(2, 1, 3));
  ASSERT_TRUE(means.has_value());
  EXPECT_EQ(Values(*means).at("training/query_loss_before"), 4);
  EXPECT_EQ(Values(*means).at("training/meta_loss"), 2);
  EXPECT_EQ(Values(*means).count("training/accuracy"), 0);
}

TEST(IterationWindowsTest, ALossThatIsNoNumberIsSeen) {
  IterationWindows windows;
  windows.Add(At(0, 0, 1));
  windows.Add(At(1, 0.5, std::nan("")));
  EXPECT_TRUE(std::isnan(Values(*windows.Add(At(2, 1, 1))).at("training/meta_loss")));
}

}  // namespace
}  // namespace innerloop::server
