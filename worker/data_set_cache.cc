#include "worker/data_set_cache.h"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"
#include "worker/data_set_fetch.h"

namespace innerloop::worker {
namespace {

// Excludes other processes (and other threads) while it lives.
class FileLock {
 public:
  static absl::StatusOr<FileLock> Take(const std::string& path) {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    FileLock lock(file);
    int result = file < 0 ? -1 : 0;
    while (file >= 0 && (result = flock(file, LOCK_EX)) != 0 && errno == EINTR) {
    }
    if (result != 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot lock ", path, ": ", std::generic_category().message(errno)));
    }
    return lock;
  }
  FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock() {
    if (file_ >= 0) {
      close(file_);
    }
  }

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};

// Whether the file is there and has the hash that it is named after.
bool IsIntact(const std::string& path, const std::string& sha256) {
  const auto file = MappedFile::Open(path);
  return file.ok() && Sha256::Hex(file->bytes()) == sha256;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataSetCache>> DataSetCache::Create(const std::string& folder,
                                                                   Metrics& metrics) {
  if (const absl::Status status = FileSystem::Real().MakeFolder(folder); !status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("the cache folder cannot be used: ", status.message()));
  }
  auto cache = absl::WrapUnique(new DataSetCache(folder, metrics));
  cache->Measure();
  return cache;
}

absl::StatusOr<std::shared_ptr<const Dataset>> DataSetCache::Get(
    const v1::DataSetDescription& description, v1::Work::StubInterface& stub) {
  if (!IsSha256Hex(description.sha256())) {
    return absl::InvalidArgumentError(
        absl::StrCat("data set '", description.name(), "' comes without a SHA-256"));
  }
  std::shared_ptr<Entry> entry;
  {
    absl::MutexLock lock(&mu_);
    std::shared_ptr<Entry>& known = entries_[description.sha256()];
    if (known == nullptr) {
      known = std::make_shared<Entry>();
    }
    entry = known;
  }
  absl::MutexLock loading(&entry->loading);
  if (auto data_set = entry->data_set.lock()) {
    return data_set;
  }
  const std::string path = absl::StrCat(folder_, "/", description.sha256(), ".safetensors");
  INNERLOOP_RETURN_IF_ERROR(Provide(description, stub, path));
  INNERLOOP_ASSIGN_OR_RETURN(auto data_set, Dataset::Open(path));
  entry->data_set = data_set;
  return data_set;
}

absl::Status DataSetCache::Provide(const v1::DataSetDescription& description,
                                   v1::Work::StubInterface& stub, const std::string& path) {
  const std::string stem = absl::StrCat(folder_, "/", description.sha256());
  INNERLOOP_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(stem + ".lock"));
  if (std::filesystem::exists(path)) {
    if (IsIntact(path, description.sha256())) {
      return absl::OkStatus();
    }
    spdlog::warn("{} is damaged; fetching data set '{}' again", path, description.name());
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Remove(path));
  }
  const std::string part_path = stem + ".part";
  std::error_code ignored;
  const bool resumed = std::filesystem::file_size(part_path, ignored) > 0 && !ignored;
  spdlog::info("fetching data set '{}' ({} bytes)", description.name(), description.bytes());
  absl::Status status = Fetch(description, stub, part_path);
  if (resumed && absl::IsDataLoss(status)) {
    // The part that was there may be the damaged one.
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Remove(part_path));
    status = Fetch(description, stub, part_path);
  }
  INNERLOOP_RETURN_IF_ERROR(status);
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Rename(part_path, path));
  Measure();
  return absl::OkStatus();
}

absl::Status DataSetCache::Fetch(const v1::DataSetDescription& description,
                                 v1::Work::StubInterface& stub, const std::string& part_path) {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&mu_);
    if (cancelled_) {
      return absl::CancelledError("the worker stops");
    }
    fetches_.insert(&context);
  }
  const absl::Cleanup forget = [&] {
    absl::MutexLock lock(&mu_);
    fetches_.erase(&context);
  };
  return FetchDataSetFile(stub, context, description, part_path);
}

void DataSetCache::CancelFetches() {
  absl::MutexLock lock(&mu_);
  cancelled_ = true;
  for (grpc::ClientContext* context : fetches_) {
    context->TryCancel();
  }
}

void DataSetCache::Measure() {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(folder_, ignored)) {
    if (file.path().extension() == ".safetensors") {
      const auto size = file.file_size(ignored);
      bytes += ignored ? 0 : size;
    }
  }
  metrics_.SetDataSetCacheBytes(bytes);
}

}  // namespace innerloop::worker
