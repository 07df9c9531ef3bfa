// `innerloop adapt` with models that were really trained.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster.h"

namespace innerloop::integration {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string WriteText(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Points of 3 sin(x - 1) from `first` on.
std::string Wave(const std::string& path, double first, int points) {
  std::string text = "x,y\n";
  for (int i = 0; i < points; ++i) {
    const double x = first + i;
    absl::StrAppend(&text, x, ",", 3 * std::sin(x - 1), "\n");
  }
  return WriteText(path, text);
}

// Class `c` of images of 12 x 12: dark stripes, whose direction and width tell the class, on a
// ground that differs from drawing to drawing.
void WriteStripes(const std::string& folder, int c, int drawing) {
  std::string image = "P5 12 12 255\n";
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 12; ++x) {
      const int along = c % 2 == 0 ? x : y;
      const int width = 1 + c / 2;
      const bool dark = (along / width) % 2 == 0;
      image += static_cast<char>((dark ? 20 : 190) + 7 * ((x * y + 3 * drawing) % 8));
    }
  }
  WriteText(absl::StrCat(folder, "/class", c, "/", drawing, ".pgm"), image);
}

class AdaptTest : public Cluster {
 protected:
  // The job's id, once it has succeeded.
  std::string Train(const std::string& file, const std::vector<std::string>& settings = {}) {
    std::vector<std::string> arguments = {"submit", file, "--format=json"};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    const nlohmann::json submitted = Result(Client(arguments));
    const std::string id = submitted.value("job", submitted.value("id", ""));
    const Outcome watched = Client({"watch", id});
    EXPECT_EQ(watched.exit_code, 0) << watched.err;
    return id;
  }
  const std::string folder_ = NewFolder();
};

TEST(Adapt, AWaveFitsItsPointsAndIsTakenAway) {
  const std::string folder = NewFolder();
  const std::string mark = NewMark();
  const nlohmann::json trained =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", folder + "/run",
                                                  {"--workers", "1", "--set", "iterations=2000",
                                                   "--set", "evaluation.skip_final=true"})));
  const std::string checkpoint = trained.at("checkpoint");
  const std::string support = Wave(folder + "/support.csv", -4.5, 10);
  const std::string queries = Wave(folder + "/queries.csv", -4, 9);
  const auto adapt = [&](const std::string& steps, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"adapt", checkpoint, "--support", support,    "--query",
                                          queries, "--steps",  steps,       "--format", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Result(RunToEnd("innerloop", arguments, {mark}));
  };
  const nlohmann::json before = adapt("0", {});
  const nlohmann::json after = adapt("10", {"--out", folder + "/wave.pt"});
  EXPECT_LT(after.at("mean_squared_error"), 0.5 * before.at("mean_squared_error").get<double>());
  EXPECT_THAT(after.at("support_losses"), SizeIs(11));
  EXPECT_THAT(after.at("predictions"), SizeIs(9));
  EXPECT_EQ(ReadText(folder + "/wave.pt").substr(0, 2), "PK") << "TorchScript is a zip archive";
  EXPECT_THAT(ProcessesWith(mark), IsEmpty());
}

TEST_F(AdaptTest, DrawingsOfNewClassesAreTold) {
  for (int c = 0; c < 6; ++c) {
    for (int drawing = 0; drawing < 6; ++drawing) {
      WriteStripes(folder_ + "/train", c, drawing);
    }
  }
  const std::string data = folder_ + "/stripes.safetensors";
  ASSERT_EQ(RunToEnd("innerloop", {"dataset", "import", "images", folder_ + "/train", "--size",
                                   "12", "--grayscale", "--invert", "--out", data})
                .exit_code,
            0);
  ASSERT_EQ(Client({"dataset", "add", data}).exit_code, 0);
  const std::string id = Train(WriteText(
      folder_ + "/job.textproto",
      "model { conv4 { filters: 8 } } algorithm { prototypical_networks {} } tasks { episodes { "
      "dataset: \"stripes\" ways: 4 shots: 1 queries: 2 split { counts { train: 6 } } } } "
      "meta_batch: 4 iterations: 100 evaluation { skip_final: true }"));
  // Nothing of the data set is needed any more.
  ASSERT_EQ(Client({"dataset", "remove", "stripes", "--force"}).exit_code, 0);
  for (int c = 0; c < 6; ++c) {
    WriteStripes(folder_ + "/support", c, 20);
    WriteStripes(folder_ + "/queries", c, 23);
  }
  const std::vector<std::string> arguments = {
      "adapt",    id,    "--support", folder_ + "/support", "--query", folder_ + "/queries",
      "--format", "json"};
  const nlohmann::json result = Result(Client(arguments));
  EXPECT_EQ(result.at("checkpoint"), id + "@100");
  EXPECT_THAT(result.at("classes"), SizeIs(6)) << "more than the ways it was trained with";
  EXPECT_GT(result.at("accuracy"), 0.8) << result.dump(2);
  double sum = 0;
  for (const auto& [name, probability] : result.at("predictions")[0].at("probabilities").items()) {
    sum += probability.get<double>();
  }
  EXPECT_NEAR(sum, 1, 1e-5);

  // Without this worker another does it.
  worker_.reset();
  StartWorker();
  EXPECT_THAT(Result(Client(arguments)).at("predictions"), SizeIs(6));
}

TEST_F(AdaptTest, ANewMachineIsDiagnosedFromItsOwnWindows) {
  const std::string data = MachinesPath();
  ASSERT_EQ(Client({"dataset", "add", "machines=" + data}).exit_code, 0);
  const std::string id =
      Train(JobPath("applications/machines"),
            {"iterations=300", "evaluation.every=0", "evaluation.skip_final=true"});
  // Other machines than those of the data set.
  const std::string others = folder_ + "/others.csv";
  ASSERT_EQ(
      RunToEnd("innerloop", {"dataset", "example", "machines", "--seed", "2", "--out", others})
          .exit_code,
      0);
  const std::vector<std::string> lines = absl::StrSplit(ReadText(others), '\n');
  std::string support = lines[0] + "\n";
  std::string queries = lines[0] + "\n";
  // The first machine's 15 windows in each of four conditions.
  for (size_t row = 1; row <= 60; ++row) {
    absl::StrAppend((row - 1) % 15 < 5 ? &support : &queries, lines[row], "\n");
  }
  const nlohmann::json result = Result(
      Client({"adapt", id, "--support", WriteText(folder_ + "/support.csv", support), "--query",
              WriteText(folder_ + "/queries.csv", queries), "--steps", "20", "--format=json"}));
  EXPECT_THAT(result.at("classes"), SizeIs(4));
  EXPECT_THAT(result.at("predictions"), SizeIs(40));
  EXPECT_GT(result.at("accuracy"), 0.5) << "a quarter is chance";
}

TEST_F(AdaptTest, WhatCannotBeAdaptedIsSaidInOneLineAndCodeTwo) {
  const std::string support = WriteText(folder_ + "/s.csv", "x,y\n1,2\n");
  const Outcome unknown = Client({"adapt", "nosuchjob", "--support", support});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.err, "innerloop: unknown job 'nosuchjob'\n");
  worker_.reset();
  const std::string id = Submit({"iterations=10"});
  const Outcome none = Client({"adapt", id, "--support", support});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_EQ(none.err, absl::StrCat("innerloop: job '", id, "' has no checkpoints\n"));
}

}  // namespace
}  // namespace innerloop::integration
