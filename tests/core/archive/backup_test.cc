#include "core/archive/backup.h"

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/support/checksum.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A tar file in memory.
class Tar {
 public:
  Tar()
      : writer_([this](absl::string_view piece) {
          EXPECT_LE(piece.size(), kTarPiece);
          bytes_.append(piece.data(), piece.size());
          return absl::OkStatus();
        }) {}
  void Add(const std::string& name, const std::string& data) {
    AddUnlisted(name, data);
    List(name, data);
  }
  void AddUnlisted(const std::string& name, const std::string& data) {
    ASSERT_TRUE(writer_.Begin(name, data.size(), absl::UnixEpoch()).ok());
    ASSERT_TRUE(writer_.Append(data).ok());
  }
  // In the manifest alone.
  void List(const std::string& name, const std::string& data) {
    files_.push_back({{"name", name}, {"bytes", data.size()}, {"sha256", Sha256::Hex(data)}});
  }
  void AddManifest() {
    const nlohmann::json manifest = {{"format", "innerloop-backup-1"}, {"files", files_}};
    AddUnlisted("manifest.json", manifest.dump());
  }
  std::string Bytes() {
    EXPECT_TRUE(writer_.Finish().ok());
    return bytes_;
  }

 private:
  std::string bytes_;
  nlohmann::json files_ = nlohmann::json::array();
  TarWriter writer_;
};

class BackupTest : public ::testing::Test {
 protected:
  std::string BackUp(const std::vector<std::pair<std::string, std::string>>& files) {
    std::string bytes;
    BackupWriter backup([&bytes](absl::string_view piece) {
      bytes.append(piece.data(), piece.size());
      return absl::OkStatus();
    });
    for (const auto& [name, data] : files) {
      WriteFile(folder_ / ("source/" + name), data);
      EXPECT_TRUE(backup.Add(name, folder_ / ("source/" + name)).ok());
    }
    EXPECT_TRUE(backup.Finish().ok());
    return bytes;
  }
  absl::StatusOr<Restored> Restore(const std::string& bytes) {
    WriteFile(folder_ / "backup.tar", bytes);
    return RestoreBackup(folder_ / "backup.tar", folder_ / "restored", nullptr);
  }
  void ExpectRefused(const std::string& bytes, absl::StatusCode code, const std::string& why) {
    const absl::StatusOr<Restored> restored = Restore(bytes);
    EXPECT_EQ(restored.status().code(), code) << restored.status();
    EXPECT_THAT(std::string(restored.status().message()), HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "restored")) << "something was left behind";
  }

  TemporaryFolder folder_;
};

TEST_F(BackupTest, WhatWasBackedUpIsRestored) {
  const std::string large(3'500'000, 'l');
  const std::string bytes = BackUp({{"innerloop.db", "tables"},
                                    {"jobs/a/best", ""},
                                    {"jobs/a/checkpoint-000000000001.safetensors", large}});
  const absl::StatusOr<Restored> restored = Restore(bytes);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->files, 3);
  EXPECT_EQ(restored->bytes, large.size() + 6);
  EXPECT_FALSE(restored->created.empty());
  EXPECT_EQ(ReadFile(folder_ / "restored/innerloop.db"), "tables");
  EXPECT_EQ(ReadFile(folder_ / "restored/jobs/a/best"), "");
  EXPECT_EQ(ReadFile(folder_ / "restored/jobs/a/checkpoint-000000000001.safetensors"), large);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "restored/restoring"));
}

TEST_F(BackupTest, AFolderInUseIsRefusedAndAnEmptyOneTaken) {
  const std::string bytes = BackUp({{"innerloop.db", "tables"}});
  WriteFile(folder_ / "restored/something", "mine");
  EXPECT_EQ(Restore(bytes).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadFile(folder_ / "restored/something"), "mine");
  std::filesystem::remove(folder_ / "restored/something");
  EXPECT_TRUE(Restore(bytes).ok());
}

TEST_F(BackupTest, WhatARestoringThatWasKilledLeftIsReplaced) {
  const std::string bytes = BackUp({{"innerloop.db", "tables"}});
  WriteFile(folder_ / "restored/restoring/innerloop.db", "tab");
  WriteFile(folder_ / "restored/restoring/jobs/a/best", "");
  const absl::StatusOr<Restored> restored = Restore(bytes);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(ReadFile(folder_ / "restored/innerloop.db"), "tables");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "restored/restoring"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "restored/jobs"));
}

TEST_F(BackupTest, AFileOfThatNameIsSomebodys) {
  WriteFile(folder_ / "restored/restoring", "mine");
  EXPECT_EQ(Restore(BackUp({{"innerloop.db", "tables"}})).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadFile(folder_ / "restored/restoring"), "mine");
}

TEST_F(BackupTest, WhoIsToldOfTheProgressMayEndTheRestoring) {
  WriteFile(folder_ / "backup.tar", BackUp({{"innerloop.db", "tables"}, {"jobs/a/best", "x"}}));
  const auto restored =
      RestoreBackup(folder_ / "backup.tar", folder_ / "restored",
                    [](uint64_t, uint64_t) { return absl::CancelledError("enough"); });
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "restored"));
}

TEST_F(BackupTest, TwoRestoringsDoNotShareAFolder) {
  WriteFile(folder_ / "backup.tar", BackUp({{"innerloop.db", "tables"}}));
  const auto restored =
      RestoreBackup(folder_ / "backup.tar", folder_ / "restored", [this](uint64_t, uint64_t) {
        EXPECT_EQ(
            RestoreBackup(folder_ / "backup.tar", folder_ / "restored", nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
        return absl::OkStatus();
      });
  EXPECT_TRUE(restored.ok()) << restored.status();
}

TEST_F(BackupTest, EveryCutOffBackupIsNoticed) {
  const std::string bytes = BackUp({{"innerloop.db", "tables"}, {"jobs/a/best", "x"}});
  for (const size_t size : {bytes.size() / 4, bytes.size() / 2, size_t{1536}, size_t{2048}}) {
    const absl::StatusOr<Restored> restored = Restore(bytes.substr(0, size));
    EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss)
        << "of " << size << ": " << restored.status();
    EXPECT_FALSE(std::filesystem::exists(folder_ / "restored"));
  }
}

TEST_F(BackupTest, EveryDamagedByteOfAFileIsNoticed) {
  const std::string data = "the tables";
  std::string bytes = BackUp({{"innerloop.db", data}});
  const size_t begin = bytes.find(data);
  ASSERT_NE(begin, std::string::npos);
  for (size_t i = 0; i < data.size(); ++i) {
    SCOPED_TRACE(i);
    const char good = bytes[begin + i];
    bytes[begin + i] = static_cast<char>(good ^ (1 << i % 8));
    ExpectRefused(bytes, absl::StatusCode::kDataLoss,
                  "'innerloop.db' is not what its manifest says");
    bytes[begin + i] = good;
  }
  EXPECT_TRUE(Restore(bytes).ok());
}

TEST_F(BackupTest, FilesThatTheManifestDoesNotListOrThatAreMissingAreNoticed) {
  Tar missing;
  missing.Add("innerloop.db", "tables");
  missing.List("jobs/a/best", "x");
  missing.AddManifest();
  ExpectRefused(missing.Bytes(), absl::StatusCode::kDataLoss, "its file 'jobs/a/best' is missing");
  Tar unlisted;
  unlisted.Add("innerloop.db", "tables");
  unlisted.AddUnlisted("jobs/a/best", "x");
  unlisted.AddManifest();
  ExpectRefused(unlisted.Bytes(), absl::StatusCode::kDataLoss,
                "it holds files that its manifest does not list");
}

TEST_F(BackupTest, WhatFollowsTheManifestOrIsThereTwiceIsNoticed) {
  Tar more;
  more.Add("innerloop.db", "tables");
  more.AddManifest();
  more.Add("jobs/a/best", "x");
  ExpectRefused(more.Bytes(), absl::StatusCode::kDataLoss, "follows its manifest");
  Tar twice;
  twice.Add("innerloop.db", "tables");
  twice.Add("innerloop.db", "tables");
  twice.AddManifest();
  ExpectRefused(twice.Bytes(), absl::StatusCode::kDataLoss, "'innerloop.db' twice");
}

TEST_F(BackupTest, NothingIsWrittenOutsideOfTheFolder) {
  for (const std::string name : {"../escaped", "/tmp/innerloop-escaped", "jobs/../../escaped",
                                 "jobs//a", ".hidden", "jobs/.ssh/key", "a/b/c/d/e", "a\nb"}) {
    Tar tar;
    tar.Add(name, "evil");
    tar.AddManifest();
    ExpectRefused(tar.Bytes(), absl::StatusCode::kInvalidArgument, "which no backup has");
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "escaped"));
  EXPECT_FALSE(std::filesystem::exists("/tmp/innerloop-escaped"));
}

TEST_F(BackupTest, LinksAreRefused) {
  // A symbolic link in ustar form: type '2', to "..".
  std::string header(512, '\0');
  header.replace(0, 5, "jobs1");
  header.replace(100, 7, "0000777");
  header.replace(124, 11, "00000000000");
  header.replace(136, 11, "00000000000");
  header[156] = '2';
  header.replace(157, 2, "..");
  header.replace(257, 8,
                 std::string("ustar\0"
                             "00",
                             8));
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) {
    sum += static_cast<unsigned char>(c);
  }
  char text[8];
  std::snprintf(text, sizeof(text), "%06o", sum);
  header.replace(148, 7, std::string(text, 7));
  ExpectRefused(header + std::string(1024, '\0'), absl::StatusCode::kInvalidArgument,
                "no plain file");
}

TEST_F(BackupTest, OtherFilesAreNoBackups) {
  ExpectRefused("not a tar file at all", absl::StatusCode::kInvalidArgument, "cannot read");
  Tar tar;
  tar.Add("manifest.json", R"({"format": "innerloop-backup-9", "files": []})");
  ExpectRefused(tar.Bytes(), absl::StatusCode::kInvalidArgument, "innerloop-backup-9");
  Tar broken;
  broken.Add("manifest.json", "[");
  ExpectRefused(broken.Bytes(), absl::StatusCode::kDataLoss, "manifest cannot be read");
  Tar other;
  other.AddUnlisted("manifest.json", R"({"files": []})");
  ExpectRefused(other.Bytes(), absl::StatusCode::kInvalidArgument, "its format is missing");
  const auto missing = RestoreBackup(folder_ / "nothing", folder_ / "restored", nullptr);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BackupTest, AManifestThatWouldOverflowTheStackIsRefused) {
  const std::string deep = std::string(250'000, '[') + std::string(250'000, ']');
  for (const std::string& manifest :
       {R"({"files": [], "format": )" + deep + "}",
        R"({"format": "innerloop-backup-1", "files": [{"name": )" + deep + "}]}"}) {
    Tar tar;
    tar.AddUnlisted("manifest.json", manifest);
    ExpectRefused(tar.Bytes(), absl::StatusCode::kDataLoss, "manifest cannot be read");
  }
}

TEST_F(BackupTest, WhoTakesThePiecesMayEndIt) {
  WriteFile(folder_ / "large", std::string(5'000'000, 'x'));
  int pieces = 0;
  BackupWriter backup([&pieces](absl::string_view) {
    return ++pieces == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_EQ(backup.Add("large", folder_ / "large").code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace innerloop
