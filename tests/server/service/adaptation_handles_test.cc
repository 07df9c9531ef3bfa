#include "server/service/adaptation_handles.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/support/manual_clock.h"

namespace innerloop::server {
namespace {

AdaptationRecipe RecipeOf(const std::string& checkpoint, size_t bytes = 0) {
  AdaptationRecipe recipe;
  recipe.checkpoint = checkpoint;
  recipe.support.mutable_inputs()->set_uint8(std::string(bytes, 'x'));
  return recipe;
}

TEST(AdaptationHandlesTest, AHandleIs32HexDigitsAndNamesOneRecipe) {
  const ManualClock clock;
  AdaptationHandles handles(clock);
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const AdaptationHandles::Kept kept = handles.Add(RecipeOf(std::to_string(i)));
    EXPECT_THAT(kept.handle, ::testing::MatchesRegex("[0-9a-f]{32}"));
    EXPECT_TRUE(seen.insert(kept.handle).second);
    EXPECT_EQ(kept.expires, clock.Now() + absl::Hours(1));
    ASSERT_NE(handles.Use(kept.handle), nullptr);
    EXPECT_EQ(handles.Use(kept.handle)->checkpoint, std::to_string(i));
  }
  EXPECT_EQ(handles.Use("0123456789abcdef0123456789abcdef"), nullptr);
}

TEST(AdaptationHandlesTest, ARecipeGoesAnHourAfterItsLastUse) {
  ManualClock clock;
  AdaptationHandles handles(clock);
  const std::string handle = handles.Add(RecipeOf("a")).handle;
  clock.Advance(absl::Minutes(59));
  EXPECT_NE(handles.Use(handle), nullptr);
  clock.Advance(absl::Minutes(59));
  EXPECT_NE(handles.Use(handle), nullptr) << "its last use was less than an hour ago";
  clock.Advance(absl::Minutes(61));
  EXPECT_EQ(handles.Use(handle), nullptr);
}

TEST(AdaptationHandlesTest, OfTooManyThoseUsedLeastRecentlyGo) {
  const ManualClock clock;
  AdaptationHandles handles(clock, {.recipes = 2});
  const std::string first = handles.Add(RecipeOf("first")).handle;
  const std::string second = handles.Add(RecipeOf("second")).handle;
  EXPECT_NE(handles.Use(first), nullptr);
  const std::string third = handles.Add(RecipeOf("third")).handle;
  EXPECT_NE(handles.Use(first), nullptr);
  EXPECT_EQ(handles.Use(second), nullptr);
  EXPECT_NE(handles.Use(third), nullptr);
}

TEST(AdaptationHandlesTest, TheBytesOfAllSupportSetsAreLimited) {
  const ManualClock clock;
  AdaptationHandles handles(clock, {.bytes = 2500});
  const std::string first = handles.Add(RecipeOf("first", 1000)).handle;
  const std::string second = handles.Add(RecipeOf("second", 1000)).handle;
  EXPECT_NE(handles.Use(first), nullptr);
  const std::string third = handles.Add(RecipeOf("third", 1000)).handle;
  EXPECT_EQ(handles.Use(second), nullptr);
  EXPECT_NE(handles.Use(first), nullptr);
  EXPECT_NE(handles.Use(third), nullptr);
}

}  // namespace
}  // namespace innerloop::server
