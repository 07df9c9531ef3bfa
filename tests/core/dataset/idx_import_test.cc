#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset/idx.h"
#include "core/dataset/import.h"
#include "tests/core/dataset/sources.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(IdxImport, SortsPlainAndCompressedPairsByClass) {
  const TemporaryFolder folder;
  WriteFile(folder / "i1", Idx({3, 1, 2}, {10, 11, 20, 21, 30, 31}));
  WriteFile(folder / "l1", Idx({3}, {7, 2, 7}));
  WriteFile(folder / "i2", Gzip(Idx({2, 1, 2}, {40, 41, 50, 51})));
  WriteFile(folder / "l2", Gzip(Idx({2}, {10, 2})));
  IdxImportOptions options;
  options.images = {folder / "i1", folder / "i2"};
  options.labels = {folder / "l1", folder / "l2"};
  options.name = "digits";
  const auto content = ImportIdx(options, nullptr);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_THAT(content->example_shape, ElementsAre(1, 2, 1));
  EXPECT_THAT(content->class_names, ElementsAre("2", "7", "10"));
  EXPECT_THAT(content->labels, ElementsAre(0, 0, 1, 1, 2));
  EXPECT_THAT(content->images, ElementsAre(20, 21, 50, 51, 10, 11, 30, 31, 40, 41));
  EXPECT_TRUE(WriteDataset(*content, folder / "d").ok());
}

TEST(IdxImport, NamesTheFileThatIsWrong) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& images, const std::string& labels) {
    WriteFile(folder / "images", images);
    WriteFile(folder / "labels", labels);
    IdxImportOptions options;
    options.images = {folder / "images"};
    options.labels = {folder / "labels"};
    const absl::Status status = ImportIdx(options, nullptr).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  const std::string images = Idx({1, 1, 2}, {1, 2});
  const std::string labels = Idx({1}, {1});
  EXPECT_THAT(refused("", labels), HasSubstr(folder / "images"));
  EXPECT_THAT(refused("PNG!", labels), HasSubstr("does not begin as IDX files do"));
  EXPECT_THAT(refused(images + "x", labels), HasSubstr("should have 18 bytes"));
  EXPECT_THAT(refused(images, Idx({2}, {1, 2})), HasSubstr("one label for each of the 1 images"));
  EXPECT_THAT(refused(images, images), HasSubstr("one label for each"));
  EXPECT_THAT(refused(Idx({1, 2}, {1, 2}), labels), HasSubstr("has 2 dimensions"));
  // A compressed megabyte of zeros that announces two bytes, and one that announces gigabytes.
  EXPECT_THAT(refused(Gzip(images + std::string(1 << 20, '\0')), labels), HasSubstr("at least 20"));
  EXPECT_THAT(refused(Gzip(Idx({1000, 1000, 1000}, {1, 2})), labels),
              HasSubstr("should have 1000000016 bytes and has 18"));
  const std::string gzip = Gzip(Idx({100, 100, 1}, std::vector<uint8_t>(10'000, 3)));
  EXPECT_THAT(refused(gzip.substr(0, gzip.size() / 2), labels), HasSubstr(folder / "images"));
}

TEST(IdxImport, FilesComeInPairsOfOneShape) {
  const TemporaryFolder folder;
  WriteFile(folder / "i1", Idx({1, 1, 2}, {1, 2}));
  WriteFile(folder / "i2", Idx({1, 2, 1}, {1, 2}));
  WriteFile(folder / "l", Idx({1}, {1}));
  IdxImportOptions options;
  options.images = {folder / "i1", folder / "i2"};
  options.labels = {folder / "l"};
  EXPECT_THAT(std::string(ImportIdx(options, nullptr).status().message()),
              HasSubstr("they come in pairs"));
  options.labels = {folder / "l", folder / "l"};
  EXPECT_THAT(std::string(ImportIdx(options, nullptr).status().message()),
              HasSubstr("another shape"));
  options.images[1] = folder / "none";
  EXPECT_TRUE(absl::IsNotFound(ImportIdx(options, nullptr).status()));
}

TEST(Idx, EveryTruncationAndHostileHeaderIsRefused) {
  const std::string bytes = Idx({2, 2, 3}, std::vector<uint8_t>(12, 5));
  EXPECT_THAT(ParseIdx(bytes).value().shape, ElementsAre(2, 2, 3));
  EXPECT_EQ(ParseIdx(bytes).value().values.size(), 12U);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseIdx(bytes.substr(0, size)).status())) << size;
  }
  const auto message = [](std::string file) {
    return std::string(ParseIdx(file).status().message());
  };
  EXPECT_THAT(message(Idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, {})),
              HasSubstr("its dimension 1 is 4294967295"));
  EXPECT_THAT(message(Idx({65536, 65536, 65536, 65536}, {})), HasSubstr("its dimension 2"));
  EXPECT_THAT(message(Idx({0, 1}, {})), HasSubstr("its dimension 0 is 0"));
  EXPECT_THAT(message(Idx({1, 1, 1, 1, 1}, {1})), HasSubstr("header of 5 dimensions"));
  EXPECT_THAT(message(Idx({}, {})), HasSubstr("header of 0 dimensions"));
  std::string floats = bytes;
  floats[2] = 0x0D;
  EXPECT_THAT(message(floats), HasSubstr("of the type 13; only unsigned bytes"));
}

}  // namespace
}  // namespace innerloop
