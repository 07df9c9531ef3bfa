// What people get wrong: each is answered by one line that names the field or file, and by the
// right exit code; nothing is left behind.
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

using ::testing::HasSubstr;

constexpr int kFailed = 1;
constexpr int kBadInput = 2;
constexpr int kUnreachable = 3;

std::string WriteFile(const std::string& name, const std::string& content) {
  std::string path = NewFolder() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void ExpectOneLine(const Outcome& outcome, int exit_code, const std::string& text) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(text));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST(BadInput, UnknownFieldsAreNamedWithTheirPlace) {
  const std::string job = WriteFile("job.textproto", "seed: 1\nlearning_rat: 3\n");
  const std::string folder = NewFolder() + "/state";
  ExpectOneLine(RunToEnd("innerloop", {"train", job, "--state-dir", folder}), kBadInput,
                job + ":2:");
  EXPECT_FALSE(std::filesystem::exists(folder)) << "nothing was begun";
}

TEST(BadInput, ImpossibleValuesAreNamed) {
  const std::string job = JobPath("sinusoid_maml");
  const auto with = [&](const std::string& setting) {
    return RunToEnd("innerloop", {"train", job, "--set", setting, "--state-dir", NewFolder()});
  };
  ExpectOneLine(with("tasks_per_shard=0"), kBadInput, "tasks_per_shard is 0");
  ExpectOneLine(with("iterations=0"), kBadInput, "iterations");
  ExpectOneLine(with("outer_optimizer.learning_rate=-1"), kBadInput,
                "outer_optimizer.learning_rate is -1; it must be above 0");
  ExpectOneLine(with("model.outputs=3"), kBadInput, "model.outputs is 3; the tasks ask for 1");
  ExpectOneLine(with("algorithm.maml.inner_stps=3"), kBadInput, "has no field 'inner_stps'");
  ExpectOneLine(with("objective.terms.weight=3"), kBadInput, "terms is set as a whole");
}

TEST(BadInput, AnotherJobInAStateFolderIsRefusedByAFewOfItsDifferences) {
  const std::string folder = NewFolder();
  Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder,
                                              {"--workers", "1", "--set", "iterations=2", "--set",
                                               "evaluation.skip_final=true"})));
  const Outcome outcome =
      RunToEnd("innerloop", {"train", JobPath("sinusoid_reptile"), "--state-dir", folder});
  ExpectOneLine(outcome, kBadInput, "holds a run of another job");
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("; and [0-9]+ more: give another --state-dir"));
}

TEST(BadInput, AMissingJobFileIsNamed) {
  ExpectOneLine(RunToEnd("innerloop", {"train", "/nowhere/job.textproto"}), kBadInput,
                "/nowhere/job.textproto");
}

TEST(BadInput, AMissingDataSetIsNamedWithTheWayToGetIt) {
  const Outcome outcome =
      RunToEnd("innerloop", {"train", JobPath("omniglot_maml_quick"), "--state-dir", NewFolder()},
               {"INNERLOOP_DATA=/nowhere"});
  EXPECT_EQ(outcome.exit_code, kBadInput);
  EXPECT_THAT(outcome.err, HasSubstr("omniglot"));
  EXPECT_THAT(outcome.err, HasSubstr("--data"));
}

TEST(BadInput, NobodyAtTheCoordinatorsAddress) {
  ExpectOneLine(RunToEnd("innerloop", {"list", "--coordinator", "127.0.0.1:1"}), kUnreachable,
                "127.0.0.1:1");
}

TEST(BadInput, DamagedCheckpointsAreRefusedWhereverTheDamageIs) {
  const nlohmann::json trained =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(),
                                                  {"--workers", "1", "--set", "iterations=20",
                                                   "--set", "evaluation.skip_final=true"})));
  const std::string good = ReadFile(trained.at("checkpoint"));
  ASSERT_GT(good.size(), 1000);
  for (const size_t place : {size_t{3}, good.size() / 8, good.size() / 2, good.size() - 1}) {
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ 4);
    const std::string path = WriteFile("bad.safetensors", bad);
    const Outcome shown = RunToEnd("innerloop", {"checkpoint", "show", path});
    ExpectOneLine(shown, kBadInput, path);
  }
  const std::string cut = WriteFile("cut.safetensors", good.substr(0, good.size() / 2));
  ExpectOneLine(RunToEnd("innerloop", {"checkpoint", "show", cut}), kBadInput, cut);
  EXPECT_EQ(RunToEnd("innerloop", {"evaluate", cut}).exit_code, kBadInput);
}

TEST(BadInput, AnImageThatWillNotDecodeIsNamedAndNothingIsWritten) {
  const std::string folder = NewFolder();
  std::filesystem::create_directories(folder + "/images/cat");
  std::ofstream(folder + "/images/cat/1.png") << "this is no picture";
  const std::string out = folder + "/set.safetensors";
  ExpectOneLine(
      RunToEnd("innerloop", {"dataset", "import", "images", folder + "/images", "--out", out}),
      kBadInput, "1.png");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(BadInput, AModelAboveTheOperatorsLimitIsRefused) {
  Process coordinator("innerloop-coordinator",
                      {"--listen", "127.0.0.1:0", "--metrics-listen", "", "--state-dir",
                       NewFolder(), "--max-parameters", "1000"},
                      {}, Output::kPipe);
  const std::string line = coordinator.AwaitLine("listening on ");
  const size_t begin = line.find("listening on ") + 13;
  const std::string address = line.substr(begin, line.find_first_of(", ", begin) - begin);
  Process worker("innerloop-worker", {"--coordinator", address, "--slots", "1"});
  const Outcome outcome = RunToEnd(
      "innerloop", {"submit", JobPath("sinusoid_maml"), "--watch", "--coordinator", address});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err + outcome.out, HasSubstr("1000"));
}

TEST(BadInput, ASecondCoordinatorOnTheSameFolderOrPortIsRefused) {
  const std::string folder = NewFolder();
  Process first("innerloop-coordinator",
                {"--listen", "127.0.0.1:0", "--metrics-listen", "", "--state-dir", folder}, {},
                Output::kPipe);
  const std::string line = first.AwaitLine("listening on ");
  ASSERT_NE(line, "");
  const size_t begin = line.find("listening on ") + 13;
  const std::string address = line.substr(begin, line.find_first_of(", ", begin) - begin);

  const Outcome same_folder =
      RunToEnd("innerloop-coordinator",
               {"--listen", "127.0.0.1:0", "--metrics-listen", "", "--state-dir", folder});
  EXPECT_EQ(same_folder.exit_code, kFailed);
  EXPECT_THAT(same_folder.err, HasSubstr(folder));
  const Outcome same_port =
      RunToEnd("innerloop-coordinator",
               {"--listen", address, "--metrics-listen", "", "--state-dir", NewFolder()});
  EXPECT_EQ(same_port.exit_code, kFailed);
  EXPECT_THAT(same_port.err, HasSubstr(address));
}

TEST(BadInput, ListeningBeyondLoopbackWantsInsecure) {
  ExpectOneLine(RunToEnd("innerloop-coordinator", {"--listen", "0.0.0.0:0", "--metrics-listen", "",
                                                   "--state-dir", NewFolder()}),
                kBadInput, "--insecure");
}

}  // namespace
}  // namespace innerloop::integration
