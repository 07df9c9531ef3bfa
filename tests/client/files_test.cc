// Commands about checkpoint and data set files.
#include <csignal>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/job_file.h"
#include "core/support/checksum.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    WriteSmallCheckpoint(checkpoint_);
    WriteDigits(digits_);
  }
  ~FilesTest() override { ::unsetenv("INNERLOOP_DATA"); }

  TestFolder folder_;
  const std::string checkpoint_ = folder_.path() + "/c.safetensors";
  const std::string digits_ = folder_.path() + "/digits.safetensors";
};

TEST_F(FilesTest, CheckpointShowTellsWhatTheFileHolds) {
  const json shown =
      json::parse(RunProgram({"checkpoint", "show", checkpoint_, "--format=json"}).out);
  EXPECT_EQ(shown["job"], "j1");
  EXPECT_EQ(shown["iteration"], 7);
  EXPECT_EQ(shown["parameters"], 5);
  EXPECT_EQ(shown["tensors"][0]["name"], "model.weight");
  EXPECT_EQ(shown["spec"]["name"], "waves");
  const std::string sha256 = shown["parameters_sha256"];
  EXPECT_TRUE(IsSha256Hex(sha256));
  EXPECT_THAT(RunProgram({"checkpoint", "show", checkpoint_}).out,
              AllOf(HasSubstr(sha256), HasSubstr("model.weight  2 x 2  optimised"),
                    HasSubstr("meta_batch: 4")));
  EXPECT_EQ(RunProgram({"checkpoint", "verify", checkpoint_}).out,
            absl::StrCat(checkpoint_, ": whole; parameters sha256 ", sha256, "\n"));
}

TEST_F(FilesTest, ADamagedCheckpointIsNamedAndCodeTwo) {
  const std::string whole = ReadFile(checkpoint_);
  std::string flipped = whole;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  const std::string bad[] = {folder_.Write("flipped.safetensors", flipped),
                             folder_.Write("cut.safetensors", whole.substr(0, whole.size() - 7)),
                             folder_.Write("empty.safetensors", "")};
  for (const std::string& path : bad) {
    for (const char* command : {"show", "verify"}) {
      const Outcome outcome = RunProgram({"checkpoint", command, path});
      EXPECT_EQ(outcome.code, 2) << path;
      EXPECT_THAT(outcome.err, HasSubstr(path));
    }
    EXPECT_EQ(RunProgram({"evaluate", path}).code, 2) << path;
  }
}

TEST_F(FilesTest, CheckpointDownloadLeavesTheFile) {
  FakeTraining service;
  v1::CheckpointInfo info;
  info.set_job_id("j1");
  info.set_iteration(7);
  info.set_best(true);
  info.set_bytes(ReadFile(checkpoint_).size());
  service.AddCheckpoint(info, ReadFile(checkpoint_));
  const std::string out = folder_.path() + "/out.safetensors";
  const Outcome outcome = RunProgram({"checkpoint", "download", "j1@best", "--out", out,
                                      "--coordinator", service.address(), "--format=json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["iteration"], 7);
  EXPECT_EQ(ReadFile(out), ReadFile(checkpoint_));
  EXPECT_THAT(RunProgram({"checkpoint", "list", "j1", "--coordinator", service.address()}).out,
              HasSubstr("j1@7        yes"));
}

TEST_F(FilesTest, ADownloadThatIsInterruptedLeavesNothingBehind) {
  FakeTraining service;
  v1::CheckpointInfo info;
  info.set_job_id("j1");
  info.set_iteration(7);
  service.AddCheckpoint(info, ReadFile(checkpoint_));
  service.HoldDownloads();
  const std::string folder = folder_ / "downloads";
  std::filesystem::create_directory(folder);
  Outcome outcome;
  std::thread program([&] {
    outcome = RunProgram({"checkpoint", "download", "j1", "--out", folder + "/out.safetensors",
                          "--coordinator", service.address()});
  });
  service.AwaitHeldDownload();
  ::kill(::getpid(), SIGINT);
  program.join();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_EQ(outcome.err, "innerloop: interrupted\n");
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(FilesTest, DataSetShowTellsClassesAndGroups) {
  const json shown = json::parse(RunProgram({"dataset", "show", digits_, "--format=json"}).out);
  EXPECT_EQ(shown["name"], "digits");
  EXPECT_EQ(shown["classes"], 4);
  EXPECT_EQ(shown["groups"], 2);
  EXPECT_EQ(shown["example_shape"], json::parse("[2,2,1]"));
  EXPECT_EQ(shown["sha256"], Sha256::Hex(ReadFile(digits_)));
  EXPECT_THAT(RunProgram({"dataset", "show", digits_, "--classes"}).out,
              HasSubstr("a/1    a            10\n"));
}

TEST_F(FilesTest, DataSetsAreAddedUnderTheirOwnOrAGivenName) {
  FakeTraining service;
  const Outcome own = RunProgram({"dataset", "add", digits_, "--coordinator", service.address()});
  EXPECT_EQ(own.code, 0) << own.err;
  EXPECT_THAT(own.out, HasSubstr("digits: "));
  const Outcome given =
      RunProgram({"dataset", "add", "mine=" + digits_, "--coordinator", service.address()});
  EXPECT_EQ(given.code, 0) << given.err;
  EXPECT_THAT(service.calls(), ElementsAre("begin digits", "begin mine"));
  EXPECT_EQ(service.data_set(Sha256::Hex(ReadFile(digits_))), ReadFile(digits_));
}

TEST_F(FilesTest, UnknownDataSetsAreNamedWithTheKnownOnes) {
  FakeTraining service;
  v1::DataSetDescription known;
  known.set_name("omniglot");
  service.AddDataSet(known);
  const Outcome outcome =
      RunProgram({"dataset", "show", "omniglt", "--coordinator", service.address()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("'omniglt'"), HasSubstr("omniglot")));
  EXPECT_THAT(RunProgram({"dataset", "list", "--coordinator", service.address()}).out,
              HasSubstr("omniglot"));
}

TEST_F(FilesTest, IdxImportSaysWhatWasMade) {
  // MNIST's format: two images of 2 x 2 pixels in two classes.
  const std::string images = folder_.Write(
      "images", std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02", 16) + "abcdefgh");
  const std::string labels =
      folder_.Write("labels", std::string("\0\0\x08\x01\0\0\0\x02\0\x01", 10));
  const std::string out = folder_.path() + "/tiny.safetensors";
  const Outcome outcome = RunProgram(
      {"dataset", "import", "idx", "--images", images, "--labels", labels, "--out", out});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(absl::StrCat(out, ": 2 examples, 2 classes, ")));
  EXPECT_THAT(outcome.out, HasSubstr(Sha256::Hex(ReadFile(out))));
}

TEST_F(FilesTest, AFailedImportLeavesNothing) {
  const std::string out = folder_.path() + "/none.safetensors";
  const Outcome outcome = RunProgram({"dataset", "import", "images", digits_, "--out", out});
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("digits.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(FilesTest, ADataSetIsFoundByFlagThenByEnvironment) {
  ::setenv("INNERLOOP_DATA", folder_.path().c_str(), 1);
  v1::TaskSource tasks;
  tasks.mutable_episodes()->set_dataset("digits");
  EXPECT_EQ(FindDataSet(tasks, {"digits=/elsewhere"})->path, "/elsewhere");
  EXPECT_EQ(FindDataSet(tasks, {"other=/elsewhere"})->path, digits_);
}

TEST_F(FilesTest, AMissingDataSetSaysHowToMakeIt) {
  ::unsetenv("INNERLOOP_DATA");
  v1::TaskSource tasks;
  tasks.mutable_episodes()->set_dataset("omniglot");
  const absl::Status status = FindDataSet(tasks, {}).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("--data omniglot=FILE"), HasSubstr("INNERLOOP_DATA"),
                    HasSubstr("innerloop dataset import images images_background.zip"),
                    HasSubstr("--grayscale --invert")));
  tasks.mutable_grouped()->set_dataset("ratings");
  EXPECT_THAT(std::string(FindDataSet(tasks, {}).status().message()),
              AllOf(HasSubstr("--data ratings=FILE"),
                    HasSubstr("innerloop dataset import csv FILE.csv --features COLUMNS --target "
                              "COLUMN --group COLUMN --out ratings.safetensors")));
}

TEST_F(FilesTest, SubmitSendsTheDataSetThatTheCoordinatorLacks) {
  FakeTraining service;
  const std::string job = folder_.Write("job.textproto", DigitsJob());
  ::unsetenv("INNERLOOP_DATA");
  const Outcome missing = RunProgram({"submit", job, "--coordinator", service.address()});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("there is no data set 'digits'"));
  const Outcome given = RunProgram(
      {"submit", job, "--data", "digits=" + digits_, "--coordinator", service.address()});
  EXPECT_EQ(given.code, 0) << given.err;
  EXPECT_EQ(service.data_set(Sha256::Hex(ReadFile(digits_))), ReadFile(digits_));
  EXPECT_EQ(service.submitted().size(), 1);
}

TEST_F(FilesTest, ADataSetThatTheJobDoesNotDrawFromIsRefused) {
  FakeTraining service;
  const std::string digits = folder_.Write("digits.textproto", DigitsJob());
  const std::string waves = folder_.Write("waves.textproto", SinusoidJob());
  const auto run = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"--coordinator", service.address()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return RunProgram(all);
  };
  for (const char* command : {"submit", "train"}) {
    const Outcome misspelled = run({command, digits, "--data", "digit=" + digits_});
    EXPECT_EQ(misspelled.code, 2);
    EXPECT_THAT(misspelled.err, HasSubstr("--data digit=" + digits_ +
                                          ": the job draws from the data set 'digits'"));
    const Outcome unneeded = run({command, waves, "--data", "digits=" + digits_});
    EXPECT_EQ(unneeded.code, 2);
    EXPECT_THAT(unneeded.err, HasSubstr("the job draws from no data set"));
    EXPECT_THAT(run({command, digits, "--data", "digits=a", "--data", "digits=b"}).err,
                HasSubstr("--data is given 2 times for the data set 'digits'"));
  }
  const Outcome file = run({"evaluate", checkpoint_, "--data", "digits=" + digits_});
  EXPECT_EQ(file.code, 2);
  EXPECT_THAT(file.err, HasSubstr("the job draws from no data set"));
  const Outcome job = run({"evaluate", "j1", "--data", "digits=" + digits_});
  EXPECT_EQ(job.code, 2);
  EXPECT_THAT(job.err, HasSubstr("--data is for checkpoint files; 'j1' is a job"));
  EXPECT_TRUE(service.calls().empty());
}

TEST_F(FilesTest, AFileThatCannotBeMadeIsNamedAsItWasGiven) {
  FakeTraining service;
  v1::CheckpointInfo info;
  info.set_job_id("j1");
  service.AddCheckpoint(info, "");
  const std::string out = folder_.path() + "/nowhere/out.safetensors";
  const Outcome download = RunProgram(
      {"checkpoint", "download", "j1", "--out", out, "--coordinator", service.address()});
  EXPECT_THAT(download.err, HasSubstr("cannot create '" + out + "': No such file"));
  const std::string images = folder_.Write(
      "images", std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02", 16) + "abcdefgh");
  const std::string labels =
      folder_.Write("labels", std::string("\0\0\x08\x01\0\0\0\x02\0\x01", 10));
  const Outcome import = RunProgram(
      {"dataset", "import", "idx", "--images", images, "--labels", labels, "--out", out});
  EXPECT_THAT(import.err, HasSubstr("cannot create '" + out + "': No such file"));
}

}  // namespace
}  // namespace innerloop::client
