#include "server/outer/numerics.h"

#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

TEST(NumericsTest, AJobRemembersEveryVersionThatComputedIt) {
  EXPECT_EQ(ContinuedNumerics("1", "1"), "1");
  EXPECT_EQ(ContinuedNumerics("1", "2"), "1+2");
  EXPECT_EQ(ContinuedNumerics("1+2", "2"), "1+2");
  EXPECT_EQ(ContinuedNumerics("1+2", "1"), "1+2+1");
  EXPECT_EQ(ContinuedNumerics("", "1"), "1") << "checkpoints from before were the first's";
  EXPECT_EQ(ContinuedNumerics("12", "2"), "12+2");
}

TEST(NumericsTest, MoreThanOneIsAMixture) {
  EXPECT_FALSE(IsMixed("1"));
  EXPECT_TRUE(IsMixed("1+2"));
}

}  // namespace
}  // namespace innerloop::server
