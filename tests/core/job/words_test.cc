#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Refusal(const v1::JobSpec& spec) { return std::string(CheckWords(spec).message()); }

TEST(WordsTest, WhatPeopleSayFitsItsBounds) {
  v1::JobSpec spec;
  (*spec.mutable_labels())["experiment.1_a-b"] = std::string(200, 'v');
  spec.set_note(std::string(10'000, 'n'));
  spec.set_name(std::string(100, 'x'));
  EXPECT_TRUE(CheckWords(spec).ok());
  std::string letters;
  for (int i = 0; i < 200; ++i) {
    letters += "ß";
  }
  (*spec.mutable_labels())["umlauts"] = letters;
  EXPECT_TRUE(CheckWords(spec).ok()) << "characters count, not bytes";
  (*spec.mutable_labels())["umlauts"] += "s";
  EXPECT_THAT(Refusal(spec), HasSubstr("labels['umlauts'] has 201 characters; at most 200"));
}

TEST(WordsTest, WhatDoesNotFitIsNamed) {
  v1::JobSpec spec;
  spec.set_note(std::string(10'001, 'n'));
  EXPECT_THAT(Refusal(spec), HasSubstr("note has 10001 characters"));
  spec.Clear();
  spec.set_name(std::string(101, 'x'));
  EXPECT_THAT(Refusal(spec), HasSubstr("name has more than 100"));
  for (const std::string& key :
       std::vector<std::string>{"", "Upper", "with space", "ä", std::string(64, 'k')}) {
    spec.Clear();
    (*spec.mutable_labels())[key] = "v";
    EXPECT_THAT(Refusal(spec), HasSubstr("a key is 1 to 63 characters")) << key;
  }
  spec.Clear();
  for (int i = 0; i < 51; ++i) {
    (*spec.mutable_labels())[absl::StrCat("k", i)] = "";
  }
  EXPECT_THAT(Refusal(spec), HasSubstr("labels has 51 entries"));
}

TEST(WordsTest, TheyAreNoPartOfTheBits) {
  v1::JobSpec a;
  a.set_seed(1);
  v1::JobSpec b = a;
  b.set_name("b");
  b.set_note("why");
  (*b.mutable_labels())["k"] = "v";
  EXPECT_TRUE(SameButForWords(a, b));
  EXPECT_THAT(SpecDifferences(a, b), IsEmpty());
  b.set_weight(2);
  EXPECT_FALSE(SameButForWords(a, b));
  EXPECT_THAT(SpecDifferences(a, b), IsEmpty());
}

TEST(WordsTest, AJobWithImpossibleLabelsIsRefusedWhenItIsResolved) {
  v1::JobSpec spec;
  (*spec.mutable_labels())["No"] = "";
  EXPECT_THAT(std::string(ResolveJobSpec(spec, nullptr).status().message()), HasSubstr("labels"));
}

}  // namespace
}  // namespace innerloop
