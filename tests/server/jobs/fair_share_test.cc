#include "server/jobs/fair_share.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

// Serves two lanes that always have work from one slot; returns how often each was served.
std::pair<int, int> Serve(double weight_a, double seconds_a, double weight_b, double seconds_b,
                          int rounds) {
  FairShare a;
  FairShare b;
  double now = 0;
  std::pair<int, int> served;
  for (int i = 0; i < rounds; ++i) {
    const bool first = a.Position(now) <= b.Position(now);
    FairShare& share = first ? a : b;
    const double weight = first ? weight_a : weight_b;
    now = std::max(now, share.Position(now));
    share.Settle(share.Charge(now, weight), first ? seconds_a : seconds_b, weight);
    ++(first ? served.first : served.second);
  }
  return served;
}

TEST(FairShareTest, EqualWeightsShareEqually) {
  const auto [a, b] = Serve(1, 0.01, 1, 0.01, 1000);
  EXPECT_NEAR(a, 500, 2);
  EXPECT_NEAR(b, 500, 2);
}

TEST(FairShareTest, ThreeTimesTheWeightIsThreeTimesTheItems) {
  const auto [a, b] = Serve(3, 0.01, 1, 0.01, 1000);
  EXPECT_NEAR(a, 750, 3);
  EXPECT_NEAR(b, 250, 3);
}

TEST(FairShareTest, TimeIsSharedNotItems) {
  // Items of b take nine times as long: it gets a tenth of the items, and as much time.
  const auto [a, b] = Serve(1, 0.01, 1, 0.09, 1000);
  EXPECT_NEAR(a, 900, 10);
  EXPECT_NEAR(b, 100, 10);
}

TEST(FairShareTest, ALaneThatHadNothingToDoDoesNotSaveUpForLong) {
  FairShare busy;
  for (int i = 0; i < 1000; ++i) {
    busy.Settle(busy.Charge(busy.Position(0), 1), 1, 1);
  }
  FairShare late;
  const double now = busy.Position(0);
  EXPECT_NEAR(now - late.Position(now), 1, 1e-9);
}

TEST(FairShareTest, TimesThatCannotBeDoNoHarm) {
  for (const double seconds :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity(), -7.0}) {
    FairShare share;
    share.Settle(share.Charge(0, 1), seconds, 1);
    EXPECT_NEAR(share.Position(0), 1e-6, 1e-9) << seconds;
    EXPECT_NEAR(share.Charge(0, 1), 0.0008, 1e-6) << seconds;
  }
  FairShare share;
  share.Settle(share.Charge(0, 1), std::numeric_limits<double>::infinity(), 1);
  EXPECT_NEAR(share.Position(0), 3600, 1e-6);
}

}  // namespace
}  // namespace innerloop::server
