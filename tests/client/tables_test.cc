// Commands that make data sets from tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/dataset/dataset.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kTable[] =
    "user,age,length,stars,kind\n"
    "ann,1,2,3.5,x\n"
    "ann,1,3,4,y\n"
    "bob,2,2,,x\n"
    "bob,2,5,1,x\n";

class TablesTest : public ::testing::Test {
 protected:
  Outcome Import(const std::vector<std::string>& flags) const {
    std::vector<std::string> arguments = {"dataset", "import", "csv", table_, "--out", out_};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return RunProgram(arguments);
  }
  std::string ErrorOf(const std::vector<std::string>& flags) const {
    const Outcome outcome = Import(flags);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }

  TestFolder folder_;
  const std::string table_ = folder_.Write("t.csv", kTable);
  const std::string out_ = folder_.path() + "/t.safetensors";
};

TEST_F(TablesTest, GroupsOfATableAreShown) {
  const Outcome made = Import({"--features", "age,length", "--target", "stars", "--regression",
                               "--group", "user", "--skip-missing"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("3 examples, 1 target value each, 2 groups, 1 row with empty "
                                  "cells left out, "));
  const Outcome shown = RunProgram({"dataset", "show", out_, "--classes"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("target values"), HasSubstr("smallest group"),
                               HasSubstr("ann           2\n")));
  const json described =
      json::parse(RunProgram({"dataset", "show", out_, "--format=json", "--classes"}).out);
  EXPECT_EQ(described["target_size"], 1);
  EXPECT_EQ(described["smallest_group"], 1);
  EXPECT_EQ(described["group_names"], json::parse(R"(["ann","bob"])"));
}

TEST_F(TablesTest, ClassesOfATableMakeEpisodes) {
  EXPECT_EQ(Import({"--features", "age-length", "--target", "kind"}).code, 0);
  const auto data_set = Dataset::Open(out_);
  ASSERT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_FALSE((*data_set)->grouped());
  EXPECT_EQ((*data_set)->class_begin(1), 3);
}

TEST_F(TablesTest, WhatIsWrongWithATableIsSaidInOneLine) {
  EXPECT_THAT(ErrorOf({"--features", "age,length,kind", "--target", "stars"}),
              HasSubstr(table_ + ":2: column 'kind' is 'x'; a decimal number is expected"));
  EXPECT_THAT(
      ErrorOf({"--features", "age", "--target", "stars", "--regression", "--group", "user"}),
      HasSubstr(table_ + ":4: column 'stars' is empty"));
  EXPECT_THAT(ErrorOf({"--features", "ages", "--target", "kind"}),
              HasSubstr("no column is called 'ages'; the nearest of 5 is 'age'"));
  EXPECT_THAT(ErrorOf({"--features", "age", "--target", "stars", "--regression"}),
              HasSubstr("regression needs --group"));
  EXPECT_THAT(ErrorOf({"--features", "age"}), HasSubstr("--target is required"));
}

TEST_F(TablesTest, ExamplesAreMadeUpBySeed) {
  const std::string a = folder_.path() + "/a.csv";
  const std::string b = folder_.path() + "/b.csv";
  EXPECT_THAT(RunProgram({"dataset", "example", "ratings", "--out", a}).out, HasSubstr("Made up"));
  EXPECT_EQ(RunProgram({"dataset", "example", "ratings", "--seed", "2", "--out", b}).code, 0);
  EXPECT_NE(ReadFile(a), ReadFile(b));
  EXPECT_EQ(RunProgram({"dataset", "example", "rating", "--out", a}).code, 2);
}

}  // namespace
}  // namespace innerloop::client
