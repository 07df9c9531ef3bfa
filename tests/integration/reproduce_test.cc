// tests/reproduce.sh: from its table of methods to README's.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr char kMethods[] =
    "# A comment, and two methods of which one is measured twice.\n"
    "tiny | MAML, tiny | Finn et al. 2017 | sinusoid_maml | --set iterations=30 --set "
    "evaluation.final.episodes=20 | | 1,5 | 0.67 / 0.38\n"
    "tiny | MAML, more points | Finn et al. 2017 | sinusoid_maml | --set iterations=30 --set "
    "evaluation.final.episodes=20 | --shots 9 --episodes 25 --steps 2 | | \n"
    "other | Reptile, tiny | Nichol et al. 2018 | sinusoid_reptile | --set iterations=20 --set "
    "evaluation.final.episodes=20 | | 32 | \n";
constexpr char kReadme[] =
    "before\n<!-- methods:begin -->\nan old table\n<!-- methods:end -->\nafter\n";

class Reproduce : public ::testing::Test {
 protected:
  Reproduce() {
    Write("methods.txt", kMethods);
    Write("README.md", kReadme);
  }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  std::string Readme() const {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/README.md").rdbuf();
    return text.str();
  }
  Outcome Run(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--methods", folder_ + "/methods.txt",
                                          "--readme",  folder_ + "/README.md",
                                          "--state",   folder_ + "/state"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunToEnd(std::string(INNERLOOP_JOBS_DIR) + "/../../tests/reproduce.sh", arguments,
                    {"INNERLOOP_BIN=" INNERLOOP_BIN_DIR});
  }

  const std::string folder_ = NewFolder();
};

TEST_F(Reproduce, PutsWhatItMeasuredIntoTheTableAndGoesOnWhereItWas) {
  const Outcome first = Run({"tiny"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const std::string readme = Readme();
  EXPECT_THAT(readme, AllOf(::testing::StartsWith("before\n<!-- methods:begin -->\n| method |"),
                            ::testing::EndsWith("<!-- methods:end -->\nafter\n"),
                            ::testing::Not(HasSubstr("old table"))));
  EXPECT_THAT(
      readme,
      ContainsRegex("\\| MAML, tiny \\| Finn et al. 2017 \\| "
                    "\\[sinusoid_maml\\]\\(client/jobs/sinusoid_maml.textproto\\) \\| "
                    "`--set iterations=30 --set evaluation.final.episodes=20` \\| "
                    "[0-9.]+ ± [0-9.]+ / [0-9.]+ ± [0-9.]+ after 1 / 5 steps; "
                    "test, 5-shot, 50 queries, 20 episodes, 10 inner steps, backtracking line "
                    "search; 30 iterations, [0-9]+ s \\| 0.67 / 0.38 \\| "
                    "`tests/reproduce.sh tiny` \\|"));
  EXPECT_THAT(readme, ContainsRegex("evaluated with `--shots 9 --episodes 25 --steps 2` \\| "
                                    "[0-9.]+ ± [0-9.]+ after 2 steps; test, 9-shot, 50 queries, 25 "
                                    "episodes"));
  EXPECT_THAT(readme, ContainsRegex("\\| Reptile, tiny \\|.*\\| not run \\|"));

  // Nothing is left to do, and the figures stay.
  const Outcome again = Run({"tiny"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, ::testing::Not(HasSubstr("evaluating")));
  EXPECT_EQ(Readme(), readme);
}

TEST_F(Reproduce, TakesAFinishedRunAsAMethodsStateAndKeepsOtherRows) {
  ASSERT_EQ(Run({"tiny"}).exit_code, 0);
  const std::string before = Readme();
  const std::string run = NewFolder();
  const nlohmann::json trained = Result(RunToEnd(
      "innerloop",
      TrainArguments("sinusoid_reptile", run,
                     {"--set", "iterations=20", "--set", "evaluation.final.episodes=20"})));
  // Another state folder knows nothing of the first method.
  std::filesystem::rename(folder_ + "/state", folder_ + "/elsewhere");
  const Outcome outcome = Run({"other=" + run});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string after = Readme();
  EXPECT_THAT(after, ContainsRegex("\\| Reptile, tiny \\|.*after 32 steps; test, 10-shot"));
  const size_t row = before.find("| MAML, tiny");
  EXPECT_THAT(after, HasSubstr(before.substr(row, before.find('\n', row) - row)));
  EXPECT_EQ(Result(RunToEnd("innerloop", TrainArguments("sinusoid_reptile", run,
                                                        {"--set", "iterations=20", "--set",
                                                         "evaluation.final.episodes=20"})))
                .at("job"),
            trained.at("job"));
}

TEST_F(Reproduce, AFailedMethodIsNamedAndDoesNotStopTheOthers) {
  Write("methods.txt",
        "bad | Bad | - | sinusoid_maml | --set meta_batch=0 | | | \n"
        "good | Good | - | sinusoid_maml | --set iterations=5 --set evaluation.final.episodes=20 | "
        "| 1 | \n");
  const Outcome outcome = Run({});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("meta_batch"), HasSubstr("methods failed: bad")));
  EXPECT_THAT(Readme(), AllOf(ContainsRegex("\\| Bad \\|.*\\| not run \\|"),
                              ContainsRegex("\\| Good \\|.*5 iterations")));
}

TEST_F(Reproduce, AFolderThatTheTableCannotBeMadeOfIsRefused) {
  const std::string run = NewFolder();
  const auto refusal = [&] {
    const Outcome outcome = Run({"--table-only", "tiny=" + run});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(Readme(), kReadme);
    return outcome.err;
  };
  EXPECT_THAT(refusal(), HasSubstr("has no result of 'tiny' yet: leave --table-only out"));
  Write("state/tiny.json", R"({"checkpoint": "/elsewhere/c.safetensors"})");
  EXPECT_THAT(refusal(),
              HasSubstr("the result of 'tiny' in " + folder_ + "/state has no final evaluation"));
  Write("state/tiny.json",
        R"({"checkpoint": "/elsewhere/c.safetensors", "evaluation": {"steps": [{"step": 1}]}})");
  EXPECT_THAT(refusal(), HasSubstr("is of another run, /elsewhere/c.safetensors, not of " + run));
}

TEST_F(Reproduce, TellsWhatItTakes) {
  const Outcome help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("--table-only"), HasSubstr("METHOD=FOLDER")));
  const Outcome missing =
      RunToEnd(std::string(INNERLOOP_JOBS_DIR) + "/../../tests/reproduce.sh",
               {"--state", folder_ + "/state", "sinusoid-maml"}, {"INNERLOOP_BIN=/nowhere"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.err,
            "reproduce: there is no program /nowhere/innerloop; INNERLOOP_BIN is the "
            "folder of the programs\n");
}

TEST_F(Reproduce, ListsItsMethodsAndRefusesOthers) {
  EXPECT_THAT(Run({"--list"}).out, AllOf(HasSubstr("tiny "), HasSubstr("other ")));
  const Outcome outcome = Run({"tinny"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("there is no method 'tinny'; the methods are: tiny other"));
  Write("README.md", "no table\n");
  EXPECT_THAT(Run({"--table-only"}).err, HasSubstr("<!-- methods:begin -->"));
}

TEST_F(Reproduce, WithoutRunsTheTableSaysSo) {
  ASSERT_EQ(Run({"--table-only"}).exit_code, 0);
  EXPECT_THAT(Readme(), ContainsRegex("\\| MAML, tiny \\|.*\\| not run \\| 0.67 / 0.38 \\|"));
}

// A job that the table names and that is not there would fail only after an hour of the others.
TEST(ReproduceMethods, AreJobsOfTheRepository) {
  const Outcome outcome =
      RunToEnd(std::string(INNERLOOP_JOBS_DIR) + "/../../tests/reproduce.sh", {"--list"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  int methods = 0;
  for (std::string line; std::getline(lines, line); ++methods) {
    const size_t begin = line.rfind('(') + 1;
    const std::string job = line.substr(begin, line.size() - begin - 1);
    EXPECT_TRUE(std::filesystem::exists(std::string(INNERLOOP_JOBS_DIR) + "/../../" + job)) << job;
  }
  EXPECT_GT(methods, 5);
}

}  // namespace
}  // namespace innerloop::integration
