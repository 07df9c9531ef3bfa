#include "core/support/json_depth.h"

#include <string>

#include <gtest/gtest.h>

namespace innerloop {
namespace {

std::string Nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(NestsWithin, CountsArraysAndObjectsInsideOneAnother) {
  EXPECT_TRUE(NestsWithin("7", 0));
  EXPECT_FALSE(NestsWithin("[]", 0));
  EXPECT_TRUE(NestsWithin("[[], {}, [1], {\"a\": []}]", 3));
  EXPECT_FALSE(NestsWithin("[[], {}, [1], {\"a\": []}]", 2));
  EXPECT_TRUE(NestsWithin(Nested(5), 5));
  EXPECT_FALSE(NestsWithin(Nested(6), 5));
  EXPECT_FALSE(NestsWithin(Nested(1'000'000), 100));
}

TEST(NestsWithin, BracketsInStringsDoNotCount) {
  EXPECT_TRUE(NestsWithin(R"(["[[[", "\"[[[", "\\", "{"])", 1));
  EXPECT_FALSE(NestsWithin(R"(["\\", [[]]])", 2));
  EXPECT_TRUE(NestsWithin(R"({"]": "}", "a": [{"]]]": 1}]})", 3));
  EXPECT_FALSE(NestsWithin(R"({"]": "}", "a": [{"]]]": 1}]})", 2));
}

TEST(NestsWithin, WhatIsNoJsonIsJudgedAsFarAsItIsRead) {
  EXPECT_TRUE(NestsWithin("", 0));
  EXPECT_TRUE(NestsWithin("\"[[[", 0));
  EXPECT_TRUE(NestsWithin("]]][[[[", 1));
  EXPECT_FALSE(NestsWithin("[[[", 2));
}

}  // namespace
}  // namespace innerloop
