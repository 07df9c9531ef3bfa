#include "worker/cache_folder.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace innerloop::worker {
namespace {

namespace fs = std::filesystem;

constexpr char kDataSet[] = ".safetensors";
constexpr char kModel[] = ".pt";
constexpr char kPart[] = ".part";

struct CachedFile {
  fs::path path;
  uint64_t bytes = 0;
  fs::file_time_type used;
};

// Files may go while they are looked at: other workers have the same folder.
std::vector<CachedFile> FilesIn(const std::string& folder) {
  std::vector<CachedFile> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != kDataSet && entry.path().extension() != kModel &&
        entry.path().extension() != kPart) {
      continue;
    }
    std::error_code gone;
    CachedFile file{entry.path(), entry.file_size(gone), {}};
    if (!gone) {
      file.used = entry.last_write_time(gone);
    }
    if (!gone) {
      files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace

absl::StatusOr<FileLock> FileLock::Take(const std::string& path, int operation) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  FileLock lock(file);
  int result = file < 0 ? -1 : 0;
  while (file >= 0 && (result = flock(file, operation)) != 0 && errno == EINTR) {
  }
  if (result != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot lock ", path, ": ", std::generic_category().message(errno)));
  }
  return lock;
}

absl::StatusOr<FileLock> FileLock::Take(const std::string& path) { return Take(path, LOCK_EX); }

absl::StatusOr<FileLock> FileLock::Try(const std::string& path) {
  return Take(path, LOCK_EX | LOCK_NB);
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

FileLock::~FileLock() {
  if (file_ >= 0) {
    close(file_);
  }
}

std::string CacheFolder::DataSet(absl::string_view sha256) const {
  return absl::StrCat(path_, "/", sha256, kDataSet);
}
std::string CacheFolder::Model(absl::string_view sha256) const {
  return absl::StrCat(path_, "/", sha256, kModel);
}
std::string CacheFolder::Part(absl::string_view sha256) const {
  return absl::StrCat(path_, "/", sha256, kPart);
}
std::string CacheFolder::Lock(absl::string_view sha256) const {
  return absl::StrCat(path_, "/", sha256, ".lock");
}

void CacheFolder::Touch(const std::string& path) const {
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
}

absl::Status CacheFolder::MakeRoom(const absl::flat_hash_map<std::string, uint64_t>& needed) const {
  uint64_t stays = 0;
  for (const auto& [sha256, bytes] : needed) {
    stays += bytes;
  }
  if (stays > most_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat("the data sets in use have ", stays,
                                                     " bytes together; this worker keeps at most ",
                                                     most_bytes_, " (--max-cache)"));
  }
  std::vector<CachedFile> others;
  uint64_t total = stays;
  for (CachedFile& file : FilesIn(path_)) {
    if (!needed.contains(file.path.stem().string())) {
      total += file.bytes;
      others.push_back(std::move(file));
    }
  }
  std::sort(others.begin(), others.end(), [](const CachedFile& a, const CachedFile& b) {
    return std::tie(a.used, a.path) < std::tie(b.used, b.path);
  });
  for (const CachedFile& file : others) {
    if (total <= most_bytes_) {
      break;
    }
    // Its lock file stays: one that is removed while somebody waits for it locks nothing.
    const absl::StatusOr<FileLock> lock = FileLock::Try(Lock(file.path.stem().string()));
    std::error_code failed;
    if (lock.ok() && fs::remove(file.path, failed) && !failed) {
      spdlog::info("removed {} ({} bytes), unused for longest, from the cache",
                   file.path.filename().string(), file.bytes);
      total -= file.bytes;
    }
  }
  if (total > most_bytes_) {
    spdlog::warn(
        "the cache will hold {} bytes, more than the {} of --max-cache: other workers read "
        "or fetch what could go",
        total, most_bytes_);
  }
  return absl::OkStatus();
}

uint64_t CacheFolder::Bytes() const {
  uint64_t bytes = 0;
  for (const CachedFile& file : FilesIn(path_)) {
    bytes += file.path.extension() == kPart ? 0 : file.bytes;
  }
  return bytes;
}

}  // namespace innerloop::worker
