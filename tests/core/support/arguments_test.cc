#include "core/support/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Given(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  return ParserArguments(static_cast<int>(arguments.size()), arguments.data());
}

TEST(ParserArguments, TheLastComesFirstWithoutTheProgram) {
  EXPECT_THAT(Given({"train", "job", "--seed=3", "-h"}),
              ElementsAre("-h", "--seed=3", "job", "train"));
  EXPECT_THAT(Given({}), IsEmpty());
}

TEST(ParserArguments, AnEmptyValueIsAnArgumentOfItsOwn) {
  EXPECT_THAT(Given({"--listen=", "--out", "x"}), ElementsAre("x", "--out", "", "--listen"));
}

TEST(ParserArguments, WhatOnlyLooksLikeAnEmptyValueStays) {
  EXPECT_THAT(Given({"a=", "--set=a=", "-a=", "--=", ""}),
              ElementsAre("", "--=", "-a=", "--set=a=", "a="));
}

TEST(ParserArguments, BehindTwoDashesNothingIsAFlag) {
  EXPECT_THAT(Given({"--", "--listen="}), ElementsAre("--listen=", "--"));
}

}  // namespace
}  // namespace innerloop
