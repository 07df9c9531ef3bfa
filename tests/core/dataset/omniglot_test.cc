#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset/import.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;

class OmniglotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const data = std::getenv("INNERLOOP_DATA");
    folder_ = std::string(data == nullptr ? "" : data) + "/omniglot/";
    for (const char* const part : {"images_background.zip", "images_evaluation.zip"}) {
      if (!std::filesystem::exists(folder_ + part)) {
        GTEST_SKIP() << "put Omniglot's images_background.zip and images_evaluation.zip into "
                        "$INNERLOOP_DATA/omniglot";
      }
    }
  }

  std::string folder_;
};

TEST_F(OmniglotTest, HasItsPublishedShapeAndFitsVinyalsSplit) {
  ImageImportOptions options;
  options.sources = {folder_ + "images_background.zip", folder_ + "images_evaluation.zip"};
  options.name = "omniglot";
  options.size = 28;
  options.grayscale = true;
  options.invert = true;
  const TemporaryFolder folder;
  const auto content = ImportImages(options, nullptr);
  ASSERT_TRUE(content.ok()) << content.status();
  ASSERT_TRUE(WriteDataset(*content, folder / "omniglot.safetensors").ok());
  const auto dataset = Dataset::Open(folder / "omniglot.safetensors").value();
  EXPECT_EQ(dataset->classes(), 1623U);
  EXPECT_EQ(dataset->examples(), 32460);
  EXPECT_EQ(dataset->Describe().smallest_class(), 20U);
  EXPECT_EQ(dataset->group_names().size(), 50U);
  EXPECT_THAT(dataset->example_shape(), ElementsAre(28, 28, 1));
  EXPECT_EQ(dataset->class_names().front(), "Alphabet_of_the_Magi/character01");

  // Ink is bright after the inversion, covers a small part, and no drawing is empty.
  double sum = 0;
  for (int64_t i = 0; i < dataset->examples(); ++i) {
    double ink = 0;
    for (const uint8_t value : dataset->ImageAt(i)) {
      ink += value / 255.0;
    }
    ASSERT_GT(ink, 1) << i;
    sum += ink / 784;
  }
  // The mean over all drawings, computed from the archives in Python. Area averaging keeps it.
  EXPECT_NEAR(sum / static_cast<double>(dataset->examples()), 0.080516, 1e-4);

  const std::set<std::string> known(content->class_names.begin(), content->class_names.end());
  const std::regex rotation("/rot[0-9]{3}\\s*$");
  const std::pair<const char*, size_t> lists[] = {{"train", 1028}, {"val", 172}, {"test", 423}};
  for (const auto& [part, classes] : lists) {
    std::ifstream file(folder_ + "vinyals_" + part + ".txt");
    std::set<std::string> names;
    for (std::string line; std::getline(file, line);) {
      names.insert(std::regex_replace(line, rotation, ""));
    }
    if (names.empty()) {
      GTEST_SKIP() << "put the Vinyals lists, vinyals_{train,val,test}.txt, beside the archives";
    }
    EXPECT_EQ(names.size(), classes) << part;
    for (const std::string& name : names) {
      EXPECT_EQ(known.count(name), 1U) << name;
    }
  }
}

}  // namespace
}  // namespace innerloop
