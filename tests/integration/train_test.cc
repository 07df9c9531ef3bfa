// `innerloop train` from its first to its last word.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::vector<std::string> kShort = {
    "--workers", "2", "--set", "iterations=300", "--set", "evaluation.final.episodes=200"};

TEST(Train, EndsWithOneObjectThatHoldsTheResult) {
  const std::string mark = NewMark();
  const Outcome outcome =
      RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(), kShort), {mark});
  const nlohmann::json result = Result(outcome);
  EXPECT_EQ(result.at("state"), "SUCCEEDED");
  EXPECT_EQ(result.at("iterations"), 300);
  EXPECT_GT(result.at("seconds"), 0.0);
  EXPECT_GT(result.at("iterations_per_second"), 0.0);
  const std::string checkpoint = result.at("checkpoint");
  EXPECT_TRUE(std::filesystem::exists(checkpoint)) << checkpoint;
  const nlohmann::json& steps = result.at("evaluation").at("steps");
  ASSERT_EQ(steps.size(), 11);
  EXPECT_EQ(steps[3].at("step"), 3);
  EXPECT_GT(steps[3].at("loss"), 0.0);
  EXPECT_GT(steps[3].at("loss_ci95"), 0.0);
  EXPECT_EQ(result.at("evaluation").at("episodes"), 200);

  const nlohmann::json shown =
      Result(RunToEnd("innerloop", {"checkpoint", "show", checkpoint, "--format=json"}));
  EXPECT_EQ(shown.at("iteration"), 300);
  EXPECT_EQ(shown.at("job"), result.at("job"));
  EXPECT_EQ(shown.at("parameters"), 1 * 40 + 40 + 40 * 40 + 40 + 40 + 1);
  EXPECT_EQ(shown.at("parameters_sha256"), result.at("parameters_sha256"));
  EXPECT_THAT(ProcessesWith(mark), IsEmpty());
}

TEST(Train, ASecondCallShowsTheResultAndALargerNumberOfIterationsGoesOn) {
  const std::string folder = NewFolder();
  const nlohmann::json first =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder, kShort)));
  const nlohmann::json again =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder, kShort)));
  EXPECT_EQ(first.at("parameters_sha256"), again.at("parameters_sha256"));

  std::vector<std::string> more = kShort;
  more.insert(more.end(), {"--set", "iterations=500"});
  const nlohmann::json longer =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder, more)));
  EXPECT_EQ(longer.at("iterations"), 500);
  EXPECT_EQ(longer.at("job"), first.at("job"));
  // The same as 500 iterations at a stretch.
  EXPECT_EQ(longer.at("parameters_sha256"),
            Sha256Of(RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(), more))));
}

TEST(Train, AnotherSpecInTheSameFolderIsRefusedShowingTheDifference) {
  const std::string folder = NewFolder();
  ASSERT_EQ(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder, kShort)).exit_code, 0);
  std::vector<std::string> other = kShort;
  other.insert(other.end(), {"--set", "algorithm.maml.inner_steps=2"});
  const Outcome outcome = RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder, other));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("algorithm.maml.inner_steps: 1 against 2"));
}

TEST(Train, AnInterruptLeavesARunThatGoesOn) {
  const std::string folder = NewFolder();
  const std::string mark = NewMark();
  std::vector<std::string> longer = kShort;
  longer.insert(longer.end(), {"--set", "iterations=20000"});
  {
    Process run("innerloop", PlainTrainArguments("sinusoid_maml", folder, longer), {mark});
    ASSERT_NE(run.AwaitLine("meta-loss"), "");
    EXPECT_THAT(ProcessesWith(mark), SizeIs(Ge(3))) << "the run, its coordinator and its workers";
    run.Signal(SIGINT);
    const Outcome outcome = run.Wait();
    EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(folder)) << "it says how to go on";
  }
  EXPECT_THAT(ProcessesWith(mark), IsEmpty());
  const nlohmann::json result =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder, longer)));
  EXPECT_EQ(result.at("iterations"), 20000);
}

TEST(Train, ProgressAndTableAreForPeopleWithoutAskingForJson) {
  const Outcome outcome = RunToEnd(
      "innerloop", {"train", JobPath("sinusoid_maml"), "--state-dir", NewFolder(), "--workers", "1",
                    "--set", "iterations=200", "--set", "evaluation.final.episodes=100"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("iteration 200 of 200"));
  EXPECT_THAT(outcome.out, HasSubstr("step"));
  EXPECT_THAT(outcome.out, HasSubstr("checkpoint"));
  // Nothing that only a terminal understands.
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("\x1b")));
}

TEST(Evaluate, AFileGivesTheNumbersOfItsJob) {
  const nlohmann::json trained =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(), kShort)));
  const nlohmann::json evaluated =
      Result(RunToEnd("innerloop", {"evaluate", trained.at("checkpoint"), "--format=json"}));
  EXPECT_EQ(evaluated.at("steps"), trained.at("evaluation").at("steps"));
  EXPECT_EQ(evaluated.at("iteration"), 300);

  const nlohmann::json other =
      Result(RunToEnd("innerloop", {"evaluate", trained.at("checkpoint"), "--steps", "2",
                                    "--episodes", "50", "--shots", "7", "--format=json"}));
  EXPECT_EQ(other.at("steps").size(), 3);
  EXPECT_EQ(other.at("episodes"), 50);
  EXPECT_EQ(other.at("shots"), 7);
}

TEST(Train, TheHistoryOfARunThatWasKilledCanBeReportedAndIsLeftAsItIs) {
  const std::string folder = NewFolder();
  const std::string mark = NewMark();
  Process train("innerloop",
                PlainTrainArguments("sinusoid_maml", folder,
                                    {"--workers", "1", "--set", "iterations=100000000", "--set",
                                     "checkpoint.every_seconds=3600"}),
                {mark});
  EXPECT_NE(train.AwaitLine("meta-loss"), "");
  // What was told is stored within a second, together with what else there is by then.
  const auto stored = [&folder] {
    return std::filesystem::file_size(folder + "/innerloop.db-wal");
  };
  const uintmax_t told = stored();
  while (stored() == told) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  train.Signal(SIGKILL);
  train.Wait();
  while (!ProcessesWith(mark).empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const auto files = [&folder] {
    std::map<std::string, std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) {
        std::ifstream file(entry.path(), std::ios::binary);
        found[entry.path()] = std::string(std::istreambuf_iterator<char>(file), {});
      }
    }
    return found;
  };
  const auto before = files();
  const Outcome report = RunToEnd("innerloop", {"report", folder, "--format=json"});
  ASSERT_EQ(report.exit_code, 0) << report.err;
  const nlohmann::json job = nlohmann::json::parse(report.out).at("jobs").at(0);
  EXPECT_GT(job.at("iteration"), 0);
  EXPECT_FALSE(job.at("curves").empty());
  EXPECT_TRUE(files() == before) << "the report wrote to the folder";
}

}  // namespace
}  // namespace innerloop::integration
