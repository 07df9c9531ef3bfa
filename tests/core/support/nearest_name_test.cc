#include "core/support/nearest_name.h"

#include <gtest/gtest.h>

namespace innerloop {
namespace {

TEST(KnownNames, OneThatIsNearIsSuggested) {
  EXPECT_EQ(KnownNames({"user", "rating"}, "ratings"), "the nearest of 2 is 'rating'");
  EXPECT_EQ(KnownNames({"user", "rating"}, "USER"), "the nearest of 2 is 'user'");
  EXPECT_EQ(KnownNames({"ab", "cd"}, "ad"), "the nearest of 2 is 'ab'");
}

TEST(KnownNames, ListsThemWhereNoneIsNear) {
  EXPECT_EQ(KnownNames({"user", "rating"}, "price"), "there are 2: 'user', 'rating'");
  EXPECT_EQ(KnownNames({"a"}, "b"), "there is 1: 'a'");
  EXPECT_EQ(KnownNames(std::vector<std::string>(1000, "class"), "x"),
            "there are 1000: 'class', 'class', 'class', 'class', 'class', 'class', 'class', "
            "'class' and 992 more");
  EXPECT_EQ(KnownNames({}, "x"), "there are 0");
}

}  // namespace
}  // namespace innerloop
