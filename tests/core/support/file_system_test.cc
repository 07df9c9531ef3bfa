#include "core/support/file_system.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/support/mapped_file.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

// What was made durable.
std::vector<std::string>& Synced() {
  static auto* const paths = new std::vector<std::string>();
  return *paths;
}

}  // namespace
}  // namespace innerloop

// In place of the C library's, whose effect only a power cut would show.
extern "C" int fsync(int descriptor) {
  std::error_code ignored;
  innerloop::Synced().push_back(
      std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", descriptor), ignored).string());
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const FileSystem& Files() { return FileSystem::Real(); }

TEST(FileSystem, ReplacesAFileByThePieces) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  ASSERT_TRUE(Files().Replace(path, {"first"}).ok());
  ASSERT_TRUE(Files().Replace(path, {"a", "", "bc"}).ok());
  EXPECT_EQ(Files().Read(path).value(), "abc");
  EXPECT_THAT(Files().List(folder.path()).value(), ElementsAre("file"));
}

TEST(FileSystem, LeavesNothingWhenAFileCannotBeRenamedIntoPlace) {
  const TemporaryFolder folder;
  const std::string taken = folder / "taken";
  ASSERT_TRUE(Files().MakeFolder(taken + "/inside").ok());
  const absl::Status status = Files().Replace(taken, {"x"});
  EXPECT_THAT(std::string(status.message()), HasSubstr(taken));
  EXPECT_THAT(Files().List(folder.path()).value(), ElementsAre("taken"));
}

// As on a full disk: writes fail after the first 4096 bytes.
TEST(FileSystem, KeepsTheOldFileWhenWritingFails) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  ASSERT_TRUE(Files().Replace(path, {"old"}).ok());

  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = Files().Replace(path, {std::string(10'000, 'x')});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);

  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot write '" + path));
  EXPECT_EQ(Files().Read(path).value(), "old");
  EXPECT_THAT(Files().List(folder.path()).value(), ElementsAre("file"));
}

TEST(FileSystem, SaysWhyAFileCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_TRUE(absl::IsNotFound(Files().Read(folder / "none").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Files().Read(folder.path()).status()));
  WriteFile(folder / "file", "12345");
  EXPECT_TRUE(absl::IsResourceExhausted(Files().Read(folder / "file", /*limit=*/4).status()));
  EXPECT_EQ(Files().Read(folder / "file", /*limit=*/5).value(), "12345");
}

TEST(FileSystem, MakesFoldersThatOutlastAPowerCut) {
  const TemporaryFolder folder;
  const std::string top = std::filesystem::canonical(folder.path()).string();
  Synced().clear();
  ASSERT_TRUE(Files().MakeFolder(top + "/a/b/c").ok());
  EXPECT_TRUE(std::filesystem::is_directory(top + "/a/b/c"));
  EXPECT_THAT(Synced(), UnorderedElementsAre(top, top + "/a", top + "/a/b"));
  Synced().clear();
  EXPECT_TRUE(Files().MakeFolder(top + "/a/b/c").ok());
  EXPECT_THAT(Synced(), IsEmpty());
  WriteFile(top + "/file", "");
  EXPECT_THAT(std::string(Files().MakeFolder(top + "/file/x").message()),
              HasSubstr("cannot make the folder '" + top + "/file/x'"));
}

TEST(FileSystem, RemovesAndRenames) {
  const TemporaryFolder folder;
  WriteFile(folder / "a", "1");
  WriteFile(folder / "b", "2");
  EXPECT_TRUE(Files().Rename(folder / "a", folder / "b").ok());
  EXPECT_THAT(Files().List(folder.path()).value(), ElementsAre("b"));
  EXPECT_EQ(Files().Read(folder / "b").value(), "1");
  EXPECT_TRUE(Files().Remove(folder / "b").ok());
  EXPECT_TRUE(Files().Remove(folder / "b").ok());
  EXPECT_FALSE(Files().Rename(folder / "b", folder / "c").ok());
}

TEST(MappedFile, ShowsAFilesBytesAndMoves) {
  const TemporaryFolder folder;
  WriteFile(folder / "file", "bytes");
  WriteFile(folder / "empty", "");
  MappedFile first = MappedFile::Open(folder / "file").value();
  MappedFile second = std::move(first);
  EXPECT_EQ(second.bytes(), "bytes");
  first = MappedFile::Open(folder / "empty").value();
  EXPECT_EQ(first.bytes(), "");
  EXPECT_TRUE(absl::IsNotFound(MappedFile::Open(folder / "none").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(folder.path()).status()));
}

}  // namespace
}  // namespace innerloop
