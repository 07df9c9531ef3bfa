#include "core/archive/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/json_depth.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"
#include "core/support/version.h"
#include "core/support/write_all.h"

namespace innerloop {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kFormat[] = "innerloop-backup-1";
constexpr char kManifest[] = "manifest.json";
constexpr size_t kMostManifest = size_t{256} << 20;
// Of arrays and objects: the manifest, its files, a file.
constexpr int kManifestLevels = 3;
// Where files wait inside the folder until all are right.
constexpr char kWaiting[] = "restoring";

// Names go nowhere but into the folder: parts of letters, digits and . _ - that do not begin with a
// dot.
bool IsSafe(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  return parts.size() <= 4 && name.size() <= 300 &&
         std::all_of(parts.begin(), parts.end(), [](absl::string_view part) {
           return !part.empty() && part[0] != '.' &&
                  std::all_of(part.begin(), part.end(), [](char c) {
                    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                  });
         });
}

struct FileFacts {
  uint64_t bytes = 0;
  std::string sha256;
  bool operator==(const FileFacts&) const = default;
};

// A field of a manifest or of a file in it, or null.
const json* Field(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

absl::Status Damaged(const std::string& file, absl::string_view why) {
  return absl::DataLossError(absl::StrCat("the backup '", file, "' is damaged: ", why));
}

// Unpacks one backup. One thread only.
class Unpacking {
 public:
  Unpacking(std::string file, std::string folder,
            const std::function<absl::Status(uint64_t done, uint64_t total)>& progress)
      : file_(std::move(file)),
        waiting_(absl::StrCat(folder, "/", kWaiting)),
        progress_(progress) {}

  absl::StatusOr<Restored> Run() {
    std::error_code error;
    total_ = fs::file_size(file_, error);
    if (error) {
      return absl::NotFoundError(absl::StrCat("there is no file '", file_, "'"));
    }
    INNERLOOP_ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> tar, TarReader::Open(file_));
    std::string manifest;
    while (true) {
      INNERLOOP_ASSIGN_OR_RETURN(const std::optional<std::string> name, tar->Next());
      if (!name.has_value()) {
        break;
      }
      if (!manifest.empty()) {
        return Damaged(file_, "something follows its manifest");
      }
      INNERLOOP_RETURN_IF_ERROR(*name == kManifest ? TakeManifest(*tar, manifest)
                                                   : TakeFile(*tar, *name));
    }
    if (manifest.empty()) {
      return Damaged(file_, "its end, the manifest, is missing");
    }
    return Check(manifest);
  }

 private:
  absl::Status Count(uint64_t bytes) {
    done_ += bytes;
    if (done_ > total_) {
      return Damaged(file_, "it holds more than its size");
    }
    return progress_ ? progress_(done_, total_) : absl::OkStatus();
  }

  absl::Status TakeManifest(TarReader& tar, std::string& manifest) {
    while (true) {
      INNERLOOP_ASSIGN_OR_RETURN(const absl::string_view piece, tar.Read());
      if (piece.empty()) {
        return manifest.empty() ? Damaged(file_, "its manifest is empty") : absl::OkStatus();
      }
      if (manifest.size() + piece.size() > kMostManifest) {
        return Damaged(file_, "its manifest is too long");
      }
      absl::StrAppend(&manifest, piece);
    }
  }

  absl::Status TakeFile(TarReader& tar, const std::string& name) {
    if (!IsSafe(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", file_, "' holds a file '", name, "', which no backup has"));
    }
    const std::string path = absl::StrCat(waiting_, "/", name);
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(fs::path(path).parent_path().string()));
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
      return errno == EEXIST ? Damaged(file_, absl::StrCat("it holds '", name, "' twice"))
                             : absl::ErrnoToStatus(errno, absl::StrCat("cannot make '", path, "'"));
    }
    const absl::Cleanup close = [fd] { ::close(fd); };
    FileFacts facts;
    Sha256 sha256;
    while (true) {
      INNERLOOP_ASSIGN_OR_RETURN(const absl::string_view piece, tar.Read());
      if (piece.empty()) {
        break;
      }
      INNERLOOP_RETURN_IF_ERROR(Count(piece.size()));
      INNERLOOP_RETURN_IF_ERROR(WriteAll(fd, path, piece));
      sha256.Update(piece);
      facts.bytes += piece.size();
    }
    if (::fsync(fd) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", path, "'"));
    }
    facts.sha256 = sha256.FinishHex();
    unpacked_[name] = std::move(facts);
    return absl::OkStatus();
  }

  absl::StatusOr<Restored> Check(const std::string& text) const {
    const json manifest = NestsWithin(text, kManifestLevels)
                              ? json::parse(text, nullptr, /*allow_exceptions=*/false)
                              : json();
    const json* const files = Field(manifest, "files");
    if (files == nullptr || !files->is_array()) {
      return Damaged(file_, "its manifest cannot be read");
    }
    const json* const format = Field(manifest, "format");
    if (format == nullptr || *format != kFormat) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", file_, "' is no backup of this version: its format is ",
          format == nullptr ? "missing, not" : format->dump().substr(0, 100) + " instead of", " \"",
          kFormat, "\""));
    }
    std::map<std::string, FileFacts> listed;
    Restored restored;
    for (const json& file : *files) {
      const json* const name = Field(file, "name");
      const json* const sha256 = Field(file, "sha256");
      const json* const bytes = Field(file, "bytes");
      if (name == nullptr || !name->is_string() || sha256 == nullptr || !sha256->is_string() ||
          bytes == nullptr || !bytes->is_number_unsigned()) {
        return Damaged(file_, "its manifest cannot be read");
      }
      const FileFacts facts{bytes->get<uint64_t>(), sha256->get<std::string>()};
      ++restored.files;
      restored.bytes += facts.bytes;
      listed[name->get<std::string>()] = facts;
    }
    for (const auto& [name, facts] : listed) {
      const auto found = unpacked_.find(name);
      if (found == unpacked_.end() || !(found->second == facts)) {
        return Damaged(file_,
                       absl::StrCat("its file '", name,
                                    found == unpacked_.end() ? "' is missing"
                                                             : "' is not what its manifest says"));
      }
    }
    if (listed.size() != unpacked_.size()) {
      return Damaged(file_, "it holds files that its manifest does not list");
    }
    for (const auto& [key, target] :
         {std::pair{"version", &restored.version}, std::pair{"created", &restored.created}}) {
      if (const json* const value = Field(manifest, key); value != nullptr && value->is_string()) {
        *target = value->get<std::string>();
      }
    }
    return restored;
  }

  const std::string file_;
  const std::string waiting_;
  const std::function<absl::Status(uint64_t done, uint64_t total)>& progress_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  std::map<std::string, FileFacts> unpacked_;
};

absl::Status InUse(const std::string& folder) {
  return absl::FailedPreconditionError(
      absl::StrCat("'", folder, "' is in use: a backup is restored into a new or empty folder"));
}

// Whether there is nothing in the folder, or only what a restoring that was killed left there.
bool IsUnused(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename() != kWaiting || entry->is_symlink(error) ||
        !entry->is_directory(error)) {
      return false;
    }
  }
  return !error;
}

// Keeps other restorings out of the folder until it is closed, where the file system can do that.
absl::StatusOr<int> Lock(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(fd);
    return InUse(folder);
  }
  return fd;
}

// Everything but the database first, which makes the folder a coordinator's.
absl::Status MoveUp(const std::string& folder) {
  const std::string waiting = absl::StrCat(folder, "/", kWaiting);
  const FileSystem& files = FileSystem::Real();
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(waiting));
  std::stable_partition(names.begin(), names.end(), [&](const std::string& name) {
    return fs::is_directory(absl::StrCat(waiting, "/", name));
  });
  for (const std::string& name : names) {
    INNERLOOP_RETURN_IF_ERROR(
        files.Rename(absl::StrCat(waiting, "/", name), absl::StrCat(folder, "/", name)));
  }
  return absl::OkStatus();
}

}  // namespace

BackupWriter::BackupWriter(TarSink sink)
    : tar_(std::move(sink)), files_(std::make_unique<json>(json::array())) {}

BackupWriter::~BackupWriter() = default;

absl::Status BackupWriter::Add(const std::string& name, const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  absl::string_view rest = file.bytes();
  INNERLOOP_RETURN_IF_ERROR(tar_.Begin(name, rest.size(), absl::Now()));
  Sha256 sha256;
  while (!rest.empty()) {
    const absl::string_view piece = rest.substr(0, kTarPiece);
    sha256.Update(piece);
    INNERLOOP_RETURN_IF_ERROR(tar_.Append(piece));
    rest.remove_prefix(piece.size());
  }
  files_->push_back(
      {{"name", name}, {"bytes", file.bytes().size()}, {"sha256", sha256.FinishHex()}});
  return absl::OkStatus();
}

absl::Status BackupWriter::Finish() {
  const json manifest = {
      {"format", kFormat},
      {"version", kVersion},
      {"created", absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone())},
      {"files", *files_}};
  const std::string text = manifest.dump(1) + "\n";
  INNERLOOP_RETURN_IF_ERROR(tar_.Begin(kManifest, text.size(), absl::Now()));
  INNERLOOP_RETURN_IF_ERROR(tar_.Append(text));
  return tar_.Finish();
}

absl::StatusOr<Restored> RestoreBackup(
    const std::string& file, const std::string& folder,
    const std::function<absl::Status(uint64_t done, uint64_t total)>& progress) {
  std::error_code error;
  const bool made = !fs::exists(folder, error);
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(folder));
  INNERLOOP_ASSIGN_OR_RETURN(const int lock, Lock(folder));
  const absl::Cleanup unlock = [lock] { ::close(lock); };
  if (!IsUnused(folder)) {
    return InUse(folder);
  }
  const std::string waiting = absl::StrCat(folder, "/", kWaiting);
  if (fs::remove_all(waiting, error); error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot remove '", waiting, "': ", error.message()));
  }
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(waiting));
  absl::StatusOr<Restored> restored = Unpacking(file, folder, progress).Run();
  if (restored.ok()) {
    if (absl::Status moved = MoveUp(folder); !moved.ok()) {
      restored = moved;
    }
  }
  fs::remove_all(waiting, error);
  if (!restored.ok() && made) {
    fs::remove(folder, error);
  }
  return restored;
}

}  // namespace innerloop
