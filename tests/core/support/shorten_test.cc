#include "core/support/shorten.h"

#include <gtest/gtest.h>

namespace innerloop {
namespace {

TEST(ShortenTest, WhatFitsStaysWhole) {
  EXPECT_EQ(Shorten("", 0), "");
  EXPECT_EQ(Shorten("shard", 5), "shard");
}

TEST(ShortenTest, TheRestGoes) { EXPECT_EQ(Shorten("shard", 4), "shar"); }

TEST(ShortenTest, NoCharacterIsCutInHalf) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac";  // one, two and three bytes
  EXPECT_EQ(Shorten(text, 6), text);
  EXPECT_EQ(Shorten(text, 5), "a\xc3\xa9");
  EXPECT_EQ(Shorten(text, 4), "a\xc3\xa9");
  EXPECT_EQ(Shorten(text, 3), "a\xc3\xa9");
  EXPECT_EQ(Shorten(text, 2), "a");
}

}  // namespace
}  // namespace innerloop
