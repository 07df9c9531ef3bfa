#include <algorithm>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/dataset/dataset.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// 30 classes: Latin/00 .. Latin/14, Greek/15 .. Greek/29.
class ClassSplitTest : public ::testing::Test {
 protected:
  ClassSplitTest() {
    DatasetContent content;
    content.name = "letters";
    content.example_shape = {1};
    for (int c = 0; c < 30; ++c) {
      content.features.push_back(0);
      content.labels.push_back(c);
      content.class_names.push_back(
          absl::StrCat(c < 15 ? "Latin/" : "Greek/", c < 10 ? "0" : "", c));
    }
    content.splits["published"] = {.train = {3, 4}, .validation = {7}, .test = {1}};
    const TemporaryFolder folder;
    EXPECT_TRUE(WriteDataset(content, folder / "d").ok());
    dataset_ = Dataset::Open(folder / "d").value();
  }

  absl::StatusOr<ClassLists> Resolve(const std::string& text) const {
    v1::ClassSplit split;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &split));
    return ResolveSplit(*dataset_, split);
  }

  std::string Refused(const std::string& text) const {
    const absl::Status status = Resolve(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    return std::string(status.message());
  }

  std::shared_ptr<const Dataset> dataset_;
};

void ExpectSortedAndDisjoint(const ClassLists& lists) {
  std::set<uint32_t> all;
  for (const auto* list : {&lists.train, &lists.validation, &lists.test}) {
    EXPECT_TRUE(std::is_sorted(list->begin(), list->end()));
    all.insert(list->begin(), list->end());
  }
  EXPECT_EQ(all.size(), lists.train.size() + lists.validation.size() + lists.test.size());
}

TEST_F(ClassSplitTest, CountsDrawClassesBySeed) {
  const ClassLists lists = Resolve("counts { train: 20 validation: 4 seed: 1 }").value();
  EXPECT_THAT(lists.train, SizeIs(20));
  EXPECT_THAT(lists.validation, SizeIs(4));
  EXPECT_THAT(lists.test, SizeIs(6));  // all that remain
  ExpectSortedAndDisjoint(lists);
  EXPECT_EQ(Resolve("counts { train: 20 validation: 4 seed: 1 }").value().train, lists.train);
  EXPECT_NE(Resolve("counts { train: 20 validation: 4 seed: 2 }").value().train, lists.train);
  EXPECT_THAT(Resolve("counts { train: 20 test: 3 }").value().test, SizeIs(3));
  EXPECT_THAT(Resolve("counts { train: 30 }").value().test, IsEmpty());
}

TEST_F(ClassSplitTest, FractionsUseEachClassWhenTheyAddUpToOne) {
  const ClassLists lists =
      Resolve("fractions { train: 0.64 validation: 0.16 test: 0.2 seed: 3 }").value();
  EXPECT_THAT(lists.train, SizeIs(19));      // 19.2
  EXPECT_THAT(lists.validation, SizeIs(5));  // up to 24
  EXPECT_THAT(lists.test, SizeIs(6));
  ExpectSortedAndDisjoint(lists);
  EXPECT_THAT(Resolve("fractions { train: 0.5 }").value().test, SizeIs(15));
  EXPECT_THAT(Resolve("fractions { train: 0.5 test: 0.1 }").value().test, SizeIs(3));
}

TEST_F(ClassSplitTest, NamesMayEndInAStar) {
  const ClassLists lists =
      Resolve(
          "names { train: 'Latin/*' train: 'Latin/03' validation: 'Greek/20' test: 'Greek/1*' }")
          .value();
  EXPECT_THAT(lists.train, SizeIs(15));
  EXPECT_THAT(lists.validation, ElementsAre(20));
  EXPECT_THAT(lists.test, ElementsAre(15, 16, 17, 18, 19));
  ExpectSortedAndDisjoint(lists);
}

TEST_F(ClassSplitTest, StoredSplitsAreTakenAsTheyAre) {
  const ClassLists lists = Resolve("stored: 'published'").value();
  EXPECT_THAT(lists.train, ElementsAre(3, 4));
  EXPECT_THAT(lists.validation, ElementsAre(7));
  EXPECT_THAT(lists.test, ElementsAre(1));
}

TEST_F(ClassSplitTest, WhatCannotBeIsExplained) {
  EXPECT_EQ(Refused("counts { train: 25 validation: 6 }"),
            "tasks.episodes.split.counts asks for 31 classes; 'letters' has 30");
  EXPECT_THAT(Refused("counts { train: 4294967295 validation: 4294967295 }"), HasSubstr("has 30"));
  EXPECT_THAT(Refused("counts { validation: 6 }"), HasSubstr("counts.train is 0"));
  EXPECT_THAT(Refused("fractions { train: 0.9 test: 0.2 }"), HasSubstr("add up to 1.1"));
  EXPECT_THAT(Refused("fractions { train: nan }"), HasSubstr("holds nan; each is 0 to 1"));
  EXPECT_THAT(Refused("fractions { train: 1 validation: -0.5 }"), HasSubstr("holds -0.5"));
  EXPECT_THAT(Refused("fractions { train: 0.01 }"), HasSubstr("none of the 30 classes"));
  EXPECT_EQ(Refused("names { train: 'Latin/04' test: 'latin/07' }"),
            "tasks.episodes.split.names.test: no class of 'letters' is called 'latin/07'; the "
            "nearest of 30 is 'Latin/07'");
  EXPECT_THAT(Refused("names { train: 'Hebrew/*' }"), HasSubstr("is called 'Hebrew/*'"));
  EXPECT_EQ(Refused("names { train: 'Latin/*' test: 'Latin/07' }"),
            "tasks.episodes.split.names has the class 'Latin/07' in both train and test");
  EXPECT_THAT(Refused("stored: 'other'"), HasSubstr("carries no split 'other'; it has published"));
  EXPECT_THAT(Refused("files { train: 'x' }"), HasSubstr("is for the client"));
  EXPECT_THAT(Refused(""), HasSubstr("one of counts, fractions, names, files, stored"));
}

}  // namespace
}  // namespace innerloop
