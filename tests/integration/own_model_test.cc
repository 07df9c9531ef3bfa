// A user's own model, from its file to the result.
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_replace.h"
#include "tests/integration/killing.h"
#include "tests/integration/process.h"
#include "tests/integration/script_job.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

using ::testing::HasSubstr;

class OwnModelTest : public ::testing::Test {
 protected:
  OwnModelTest() {
    WritePerceptron(model_);
    WriteFile(job_, ScriptJob("file: 'model.pt'", /*iterations=*/20));
    sha256_ = Sha256::Hex(ReadFile(model_));
  }
  Outcome Train(const std::string& state_dir, const std::string& workers) const {
    return RunToEnd("innerloop", {"train", job_, "--state-dir", folder_ / state_dir, "--workers",
                                  workers, "--allow-model", sha256_, "--format=json"});
  }

  const TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.pt";
  const std::string job_ = folder_ / "job.textproto";
  std::string sha256_;
};

TEST_F(OwnModelTest, TrainsToTheSameBitsOnOneAndTwoWorkersAndEvaluatesItsCheckpoint) {
  const nlohmann::json one = Result(Train("one", "1"));
  const nlohmann::json two = Result(Train("two", "2"));
  EXPECT_EQ(one.at("state"), "SUCCEEDED");
  EXPECT_EQ(one.at("parameters_sha256"), two.at("parameters_sha256"));
  EXPECT_EQ(one.at("evaluation").at("steps").size(), 3);

  const std::string checkpoint = two.at("checkpoint");
  const Outcome without = RunToEnd("innerloop", {"evaluate", checkpoint, "--workers", "1"});
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_THAT(without.err, HasSubstr("give its file with --model FILE"));
  const Outcome with = RunToEnd(
      "innerloop", {"evaluate", checkpoint, "--workers", "1", "--model", model_, "--format=json"});
  EXPECT_EQ(with.exit_code, 0) << with.err;
}

TEST_F(OwnModelTest, GivesTheSameBitsForOneWorkerAndThreeAndAfterAKill) {
  WriteFile(job_, ScriptJob("file: 'model.pt'", /*iterations=*/800));
  const std::string job = folder_ / "job";
  const std::vector<std::string> settings = {"--allow-model", sha256_,
                                             "--set",         "checkpoint.every=50",
                                             "--set",         "evaluation.skip_final=true"};
  const auto sha256 = [&](const std::string& workers) {
    std::vector<std::string> more = settings;
    more.insert(more.end(), {"--workers", workers});
    return Sha256Of(RunToEnd("innerloop", TrainArguments(job, folder_ / workers, more)));
  };
  const std::string one = sha256("1");
  EXPECT_EQ(one, sha256("3"));
  EXPECT_EQ(one, Sha256AfterKilling("innerloop-coordinator", job, settings));
}

TEST_F(OwnModelTest, TrainsOnlyWhatIsAllowedAndSaysHow) {
  const Outcome outcome =
      RunToEnd("innerloop", {"train", job_, "--state-dir", folder_ / "state", "--workers", "1"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr(absl::StrCat("--allow-model ", sha256_)));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "state"));
}

TEST_F(OwnModelTest, AMissingFileIsSaidBeforeAnythingStarts) {
  std::filesystem::remove(model_);
  const Outcome outcome = Train("state", "1");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("model.torchscript.file: "));
}

TEST_F(OwnModelTest, WhatOnlyAWorkerFindsIsBadInputBeforeAnyTraining) {
  const auto expect_refused = [this](const std::string& protocol, const std::string& why) {
    WriteFile(job_, absl::StrReplaceAll(ScriptJob("file: 'model.pt'", /*iterations=*/3000),
                                        {{"inner_steps: 2", "inner_steps: 2 " + protocol}}));
    sha256_ = Sha256::Hex(ReadFile(model_));
    const Outcome outcome = Train("refused", "1");
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("iteration 300 ")));
    std::filesystem::remove_all(folder_ / "refused");
  };
  WritePerceptron(model_, /*extra=*/"  x = x - x.mean(0)\n");
  expect_refused("transduction: TRANSDUCTION_SUPPORT_STATISTICS",
                 "evaluation.final.transduction is TRANSDUCTION_SUPPORT_STATISTICS");
  const std::string whole = ReadFile(model_);
  WriteFile(model_, whole.substr(0, whole.size() / 2));
  expect_refused("", "model.torchscript: the file is damaged");
  WriteFile(model_, "");
  expect_refused("", "model.pt is empty; torch.jit.script(module).save(FILE) writes one");
}

TEST_F(OwnModelTest, AWorkerThatDoesNotAllowItDeclinesTheJobWithTheFlagToAdd) {
  Process coordinator("innerloop-coordinator",
                      {"--state-dir", folder_ / "state", "--listen", "127.0.0.1:0",
                       "--metrics-listen", "127.0.0.1:0"},
                      {}, Output::kPipe);
  const std::string line = coordinator.AwaitLine("listening on ");
  const size_t begin = line.find("listening on ") + std::string("listening on ").size();
  const std::string address = line.substr(begin, line.find(',') - begin);
  Process worker("innerloop-worker",
                 {"--coordinator", address, "--cache-dir", folder_ / "cache", "--log-level=info"});
  const Outcome submitted =
      RunToEnd("innerloop", {"submit", job_, "--coordinator", address, "--format=json"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  EXPECT_THAT(worker.AwaitLine("declining job"),
              HasSubstr(absl::StrCat("--allow-model ", sha256_)));
}

}  // namespace
}  // namespace innerloop::integration
