#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset/import.h"
#include "tests/core/dataset/sources.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ImageImportOptions Options(std::vector<std::string> sources) {
  ImageImportOptions options;
  options.sources = std::move(sources);
  options.name = "test";
  options.size = 1;
  options.grayscale = true;
  return options;
}

// Not in order, with files that are no images, and names that try to leave the folder.
ArchiveEntries Entries() {
  return {{"root/B/2/x.png", PlainPng(3, 3, 40)},  {"root/A/1/b.png", PlainPng(1, 1, 20)},
          {"root/README.txt", "no image"},         {"./root/A/1/a.PNG", PlainPng(2, 2, 10)},
          {"__MACOSX/root/A/1/._a.png", "no PNG"}, {"root/A/1/.hidden.png", "no PNG"},
          {"root/A/3/y.png", PlainPng(5, 4, 30)}};
}

void ExpectEntries(const DatasetContent& content) {
  EXPECT_THAT(content.class_names, ElementsAre("A/1", "A/3", "B/2"));
  EXPECT_THAT(content.group_names, ElementsAre("A", "B"));
  EXPECT_THAT(content.class_groups, ElementsAre(0, 0, 1));
  EXPECT_THAT(content.labels, ElementsAre(0, 0, 1, 2));
  EXPECT_THAT(content.images, ElementsAre(10, 20, 30, 40));
  EXPECT_THAT(content.example_shape, ElementsAre(1, 1, 1));
}

TEST(ImageImport, ReadsArchivesOfEachKindAndFolders) {
  const TemporaryFolder folder;
  WriteFile(folder / "zip", Archive(ArchiveKind::kZip, Entries()));
  WriteFile(folder / "tar", Archive(ArchiveKind::kTar, Entries()));
  WriteFile(folder / "tgz", Archive(ArchiveKind::kTarGz, Entries()));
  for (const auto& [name, bytes] : Entries()) {
    WriteFile(folder / ("folder/" + name), bytes);
  }
  for (const std::string name : {"zip", "tar", "tgz", "folder"}) {
    SCOPED_TRACE(name);
    const auto content = ImportImages(Options({folder / name}), nullptr);
    ASSERT_TRUE(content.ok()) << content.status();
    ExpectEntries(*content);
    EXPECT_TRUE(WriteDataset(*content, folder / "out.safetensors").ok());
    EXPECT_TRUE(Dataset::Open(folder / "out.safetensors").ok());
  }
}

TEST(ImageImport, JoinsSourcesInvertsAndKeepsColour) {
  const TemporaryFolder folder;
  WriteFile(folder / "one", Archive(ArchiveKind::kZip, {{"a/1.png", Png(1, 1, 3, {1, 2, 3})}}));
  WriteFile(folder / "two", Archive(ArchiveKind::kZip, {{"top/b/1.png", PlainPng(1, 1, 255)}}));
  ImageImportOptions options = Options({folder / "two", folder / "one"});
  options.grayscale = false;
  options.invert = true;
  std::vector<int64_t> progress;
  const DatasetContent content =
      ImportImages(options, [&](int64_t examples) { progress.push_back(examples); }).value();
  EXPECT_THAT(content.class_names, ElementsAre("a", "b"));
  EXPECT_THAT(content.class_groups, IsEmpty());
  EXPECT_THAT(content.group_names, IsEmpty());
  EXPECT_THAT(content.images, ElementsAre(254, 253, 252, 0, 0, 0));
  EXPECT_THAT(content.preparation, ElementsAre("size=1", "grayscale=false", "invert=true"));
  EXPECT_THAT(progress, ElementsAre(2));
}

TEST(ImageImport, DropsASharedFolderOnlyWhereAClassRemains) {
  const TemporaryFolder folder;
  WriteFile(folder / "one", Archive(ArchiveKind::kZip, {{"cats/1.png", PlainPng(1, 1, 1)},
                                                        {"cats/2.png", PlainPng(1, 1, 1)}}));
  EXPECT_THAT(ImportImages(Options({folder / "one"}), nullptr).value().class_names,
              ElementsAre("cats"));
}

TEST(ImageImport, NamesTheFileThatIsWrong) {
  const TemporaryFolder folder;
  const std::string good = PlainPng(1, 1, 1);
  const auto refused = [&](const ArchiveEntries& entries) {
    WriteFile(folder / "source.zip", Archive(ArchiveKind::kZip, entries));
    const absl::Status status = ImportImages(Options({folder / "source.zip"}), nullptr).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder / "source.zip"));
    return std::string(status.message());
  };
  EXPECT_THAT(refused({{"a/1.png", good}, {"b/2.png", "no PNG"}}),
              HasSubstr("the image 'b/2.png' in '" + folder.path()));
  EXPECT_THAT(refused({{"a/1.png", good.substr(0, good.size() / 2)}}), HasSubstr("'a/1.png'"));
  EXPECT_THAT(refused({{"a/1.png", ""}}), HasSubstr("the image 'a/1.png'"));
  EXPECT_THAT(refused({{"1.png", good}}), HasSubstr("'1.png' in '" + folder.path()));
  EXPECT_THAT(refused({{"a/1.txt", good}}), HasSubstr("there are no images"));
  EXPECT_THAT(
      refused({{"a/bomb.png", std::string((64 << 20) + 1, '\0')}}),
      HasSubstr("'a/bomb.png' in '" + (folder / "source.zip") + "' has more than 67108864"));
}

TEST(ImageImport, DamagedSourcesAreRefused) {
  const TemporaryFolder folder;
  const auto status = [&](const std::string& bytes) {
    WriteFile(folder / "source", bytes);
    return ImportImages(Options({folder / "source"}), nullptr).status();
  };
  EXPECT_TRUE(absl::IsInvalidArgument(status("no archive")));
  EXPECT_TRUE(absl::IsInvalidArgument(status("")));
  const std::string tar = Archive(ArchiveKind::kTarGz, Entries());
  EXPECT_TRUE(absl::IsInvalidArgument(status(tar.substr(0, tar.size() / 2))));
  std::string zip = Archive(ArchiveKind::kZip, {{"a/1.png", PlainPng(9, 9, 1)}});
  zip[60] = static_cast<char>(zip[60] ^ 0x55);  // inside the compressed image
  EXPECT_TRUE(absl::IsInvalidArgument(status(zip)));
  EXPECT_TRUE(absl::IsNotFound(ImportImages(Options({folder / "none"}), nullptr).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ImportImages(Options({}), nullptr).status()));
}

TEST(ImageImport, AClassComesFromOneSource) {
  const TemporaryFolder folder;
  WriteFile(folder / "one", Archive(ArchiveKind::kZip, {{"a/1.png", PlainPng(1, 1, 1)}}));
  const absl::Status status =
      ImportImages(Options({folder / "one", folder / "one"}), nullptr).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("the class 'a' of"));
}

TEST(ImageImport, SizesAreChecked) {
  for (const int size : {0, -1, 4097}) {
    ImageImportOptions options = Options({"x"});
    options.size = size;
    EXPECT_THAT(std::string(ImportImages(options, nullptr).status().message()),
                HasSubstr("1 to 4096"));
  }
}

}  // namespace
}  // namespace innerloop
