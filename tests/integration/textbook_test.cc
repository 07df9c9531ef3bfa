// The textbook examples of the field: digits in MNIST's files, colour images in class folders,
// random maps; and the same job with several seeds. Their data are made here.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

using ::testing::HasSubstr;

void AppendBigEndian(std::string& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(value >> shift));
  }
}

// 20 images of each of ten "digits": a bar at the digit's own height, its length and brightness
// vary.
struct IdxFiles {
  std::string images;
  std::string labels;
};
IdxFiles WriteIdxDigits(const std::string& folder) {
  constexpr uint32_t kSide = 28;
  constexpr uint32_t kPerDigit = 20;
  std::string images;
  std::string labels;
  AppendBigEndian(images, 0x00000803);
  AppendBigEndian(images, 10 * kPerDigit);
  AppendBigEndian(images, kSide);
  AppendBigEndian(images, kSide);
  AppendBigEndian(labels, 0x00000801);
  AppendBigEndian(labels, 10 * kPerDigit);
  for (uint32_t i = 0; i < 10 * kPerDigit; ++i) {
    const uint32_t digit = i % 10;
    std::string image(size_t{kSide} * kSide, '\0');
    for (uint32_t x = 4; x < 14 + i / 10 % 10; ++x) {
      image[size_t{kSide} * (4 + 2 * digit) + x] = static_cast<char>(150 + i / 10 * 5);
    }
    images += image;
    labels.push_back(static_cast<char>(digit));
  }
  const IdxFiles files{folder + "/images-idx3-ubyte", folder + "/labels-idx1-ubyte"};
  std::ofstream(files.images, std::ios::binary) << images;
  std::ofstream(files.labels, std::ios::binary) << labels;
  return files;
}

TEST(Textbook, DigitsInMnistsFilesAreLearntByALinearSoftmaxAndByAPerceptron) {
  const std::string folder = NewFolder();
  const IdxFiles idx = WriteIdxDigits(folder);
  const std::string mnist = folder + "/mnist.safetensors";
  const nlohmann::json imported =
      Result(RunToEnd("innerloop", {"dataset", "import", "idx", "--images", idx.images, "--labels",
                                    idx.labels, "--out", mnist, "--format=json"}));
  EXPECT_EQ(imported.at("classes"), 10);
  EXPECT_EQ(imported.at("example_shape"), nlohmann::json({28, 28, 1}));
  for (const char* job : {"digits_linear", "digits_mlp"}) {
    const nlohmann::json result =
        Result(RunToEnd("innerloop", TrainArguments(job, NewFolder(),
                                                    {"--workers", "2", "--set", "iterations=150",
                                                     "--set", "evaluation.final.episodes=100",
                                                     "--data", "mnist=" + mnist})));
    const nlohmann::json& steps = result.at("evaluation").at("steps");
    EXPECT_LT(steps[0].at("accuracy"), 0.3) << job << ": labels are drawn afresh for each task";
    EXPECT_GT(steps[10].at("accuracy"), 0.8) << job;
    EXPECT_EQ(result.at("evaluation").at("split"), "train") << job;
  }
}

// Folders named as the job's split files have them, with `count` small colour images each.
void WriteColourClasses(const std::string& folder, int count) {
  const std::string lists =
      std::filesystem::path(JobPath("miniimagenet_maml_1shot")).parent_path() / "miniimagenet";
  int number = 0;
  for (const char* list : {"train", "validation", "test"}) {
    std::ifstream names(lists + "/" + list + ".txt");
    std::string name;
    while (std::getline(names, name)) {
      ++number;
      const std::string images = folder + "/" + name;
      std::filesystem::create_directories(images);
      for (int i = 0; i < count; ++i) {
        std::string pixels = "P6 6 6 255\n";
        for (int p = 0; p < 36; ++p) {
          pixels += {static_cast<char>(number * 2 + i), static_cast<char>(255 - number),
                     static_cast<char>(p * number + i)};
        }
        std::ofstream(images + "/" + std::to_string(i) + ".ppm", std::ios::binary) << pixels;
      }
    }
  }
  ASSERT_EQ(number, 100);
}

TEST(Textbook, ColourImagesInClassFoldersAreSplitByTheListsOfMiniImageNet) {
  const std::string folder = NewFolder();
  WriteColourClasses(folder + "/images", 20);
  const std::string data = folder + "/miniimagenet.safetensors";
  const nlohmann::json imported =
      Result(RunToEnd("innerloop", {"dataset", "import", "images", folder + "/images", "--size",
                                    "84", "--out", data, "--format=json"}));
  EXPECT_EQ(imported.at("classes"), 100);
  EXPECT_EQ(imported.at("example_shape"), nlohmann::json({84, 84, 3}));
  for (const char* job : {"miniimagenet_maml_1shot", "miniimagenet_maml_5shot"}) {
    const nlohmann::json result = Result(RunToEnd(
        "innerloop",
        TrainArguments(job, NewFolder(),
                       {"--workers", "2", "--set", "iterations=1", "--set", "meta_batch=1", "--set",
                        "evaluation.every=0", "--set", "evaluation.final.episodes=2", "--set",
                        "evaluation.final.inner_steps=2", "--data", "miniimagenet=" + data})));
    EXPECT_EQ(result.at("iterations"), 1) << job;
    const nlohmann::json& evaluation = result.at("evaluation");
    EXPECT_EQ(evaluation.at("ways"), 5) << job;
    EXPECT_EQ(evaluation.at("queries"), 15) << job;
    EXPECT_TRUE(evaluation.at("steps")[2].at("loss").is_number()) << job;
  }
}

TEST(Textbook, RandomMapsAreLearntByReptile) {
  const nlohmann::json result =
      Result(RunToEnd("innerloop", TrainArguments("random_map_reptile", NewFolder(),
                                                  {"--workers", "2", "--set", "iterations=1500",
                                                   "--set", "evaluation.every=0", "--set",
                                                   "evaluation.final.episodes=500"})));
  const nlohmann::json& steps = result.at("evaluation").at("steps");
  // A target's variance is 2: half of it common to all tasks, half the task's own. The common half
  // can be known before adapting, the task's own bias, a quarter of it all, from ten examples.
  EXPECT_LT(steps[0].at("loss"), 1.5);
  EXPECT_LT(steps[20].at("loss"), 0.9);
}

const std::vector<std::string> kTiny = {"--workers", "2",
                                        "--set",     "iterations=60",
                                        "--set",     "evaluation.every=0",
                                        "--set",     "evaluation.final.episodes=100"};

std::vector<std::string> And(std::vector<std::string> arguments,
                             const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Seeds, GiveEachSeedsOwnParametersAndTheirMeanAndDeviation) {
  const std::string folder = NewFolder();
  const nlohmann::json group = Result(RunToEnd(
      "innerloop", TrainArguments("sinusoid_maml", folder, And(kTiny, {"--seeds", "1..2"}))));
  ASSERT_EQ(group.at("runs").size(), 2);
  double mean = 0;
  for (const nlohmann::json& run : group.at("runs")) {
    const std::string seed = "seed=" + std::to_string(run.at("seed").get<int>());
    EXPECT_EQ(run.at("parameters_sha256"),
              Sha256Of(RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(),
                                                            And(kTiny, {"--set", seed})))))
        << seed;
    mean += run.at("evaluation").at("steps")[1].at("loss").get<double>() / 2;
  }
  const nlohmann::json& step = group.at("evaluation").at("steps")[1];
  EXPECT_NEAR(step.at("loss"), mean, 1e-12);
  // Of two values the deviation is half their difference times the root of 2.
  const double first = group.at("runs")[0].at("evaluation").at("steps")[1].at("loss");
  EXPECT_NEAR(step.at("loss_deviation"), std::abs(first - mean) * std::sqrt(2), 1e-9);

  // The same folder takes another seed and keeps what is there.
  const nlohmann::json more = Result(RunToEnd(
      "innerloop", TrainArguments("sinusoid_maml", folder, And(kTiny, {"--seeds", "2,5"}))));
  EXPECT_EQ(more.at("runs")[0].at("job"), group.at("runs")[1].at("job"));
  EXPECT_EQ(more.at("runs")[0].at("parameters_sha256"),
            group.at("runs")[1].at("parameters_sha256"));
  EXPECT_EQ(more.at("evaluation").at("steps")[0].at("runs"), 2);
}

TEST(Protocols, SeveralGiveAListThatStatesEach) {
  const nlohmann::json trained =
      Result(RunToEnd("innerloop", TrainArguments("sinusoid_maml", NewFolder(), kTiny)));
  const Outcome outcome =
      RunToEnd("innerloop", {"evaluate", "--shots", "5,7", trained.at("checkpoint"), "--episodes",
                             "50", "--steps", "1", "--format=json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json list = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(list.size(), 2);
  EXPECT_EQ(list[0].at("shots"), 5);
  EXPECT_EQ(list[1].at("shots"), 7);
  EXPECT_THAT(list[1].at("protocol").get<std::string>(),
              HasSubstr("test, 7-shot, 50 queries, 50 episodes, 1 inner step"));
  EXPECT_NE(list[0].at("steps")[1].at("loss"), list[1].at("steps")[1].at("loss"));
}

}  // namespace
}  // namespace innerloop::integration
