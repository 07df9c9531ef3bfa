#include "worker/data_set_cache.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "core/rpc/call_headers.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"
#include "worker/backoff.h"

namespace innerloop::worker {
namespace {

// Between two calls for a file while the coordinator is too busy to answer.
constexpr absl::Duration kFirstWait = absl::Milliseconds(100);
constexpr absl::Duration kLastWait = absl::Seconds(5);

// Whether the file is there and has the hash that it is named after.
bool IsIntact(const std::string& path, const std::string& sha256) {
  const auto file = MappedFile::Open(path);
  return file.ok() && Sha256::Hex(file->bytes()) == sha256;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataSetCache>> DataSetCache::Create(const std::string& folder,
                                                                   uint64_t most_bytes,
                                                                   Metrics& metrics) {
  if (const absl::Status status = FileSystem::Real().MakeFolder(folder); !status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("the cache folder cannot be used: ", status.message()));
  }
  auto cache = absl::WrapUnique(new DataSetCache(folder, most_bytes, metrics));
  metrics.SetDataSetCacheBytes(cache->folder_.Bytes());
  return cache;
}

absl::StatusOr<std::shared_ptr<const Dataset>> DataSetCache::Get(
    const v1::DataSetDescription& description, const FileSource& source) {
  const std::string& sha256 = description.sha256();
  if (!IsSha256Hex(sha256)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data set '", description.name(), "' comes without a SHA-256"));
  }
  absl::MutexLock loading(&LoadingMutex(sha256));
  if (auto data_set = FindOpen(sha256)) {
    folder_.Touch(folder_.DataSet(sha256));
    return data_set;
  }
  auto data_set = Load(description, source);
  absl::MutexLock lock(&mu_);
  if (data_set.ok()) {
    held_[sha256] = {description.bytes(), /*fetching=*/false, *data_set};
  } else {
    held_.erase(sha256);
  }
  return data_set;
}

absl::Mutex& DataSetCache::LoadingMutex(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  std::unique_ptr<absl::Mutex>& mutex = loading_[sha256];
  if (mutex == nullptr) {
    mutex = std::make_unique<absl::Mutex>();
  }
  return *mutex;
}

std::shared_ptr<const Dataset> DataSetCache::FindOpen(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  const auto it = held_.find(sha256);
  return it == held_.end() ? nullptr : it->second.data_set.lock();
}

absl::StatusOr<std::shared_ptr<const Dataset>> DataSetCache::Load(
    const v1::DataSetDescription& description, const FileSource& source) {
  const std::string path = folder_.DataSet(description.sha256());
  INNERLOOP_ASSIGN_OR_RETURN(const FileLock lock,
                             Provide({absl::StrCat("data set '", description.name(), "'"),
                                      description.sha256(), description.bytes()},
                                     path, source));
  folder_.Touch(path);
  return Dataset::Open(path);
}

absl::StatusOr<std::string> DataSetCache::GetModel(const v1::TorchScriptModel& model,
                                                   const FileSource& source) {
  const std::string& sha256 = model.sha256();
  if (!IsSha256Hex(sha256)) {
    return absl::InvalidArgumentError("the job's model comes without a SHA-256");
  }
  absl::MutexLock loading(&LoadingMutex(sha256));
  std::string path = folder_.Model(sha256);
  const absl::StatusOr<FileLock> lock =
      Provide({absl::StrCat("model ", sha256), sha256, model.bytes()}, path, source);
  {
    absl::MutexLock lock_held(&mu_);
    held_.erase(sha256);
  }
  INNERLOOP_RETURN_IF_ERROR(lock.status());
  folder_.Touch(path);
  return path;
}

absl::StatusOr<FileLock> DataSetCache::Provide(const FileToFetch& file, const std::string& path,
                                               const FileSource& source) {
  {
    absl::MutexLock lock(&mu_);
    awaited_[file.sha256] = file.bytes;
  }
  const absl::Cleanup forget = [&] {
    absl::MutexLock lock(&mu_);
    awaited_.erase(file.sha256);
  };
  INNERLOOP_ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(folder_.Lock(file.sha256)));
  INNERLOOP_RETURN_IF_ERROR(FetchUnlessThere(file, path, source));
  return lock;
}

std::vector<v1::FileFetch> DataSetCache::Fetches() const {
  std::vector<v1::FileFetch> fetches;
  absl::MutexLock lock(&mu_);
  for (const auto& [sha256, bytes] : awaited_) {
    // Also when it is another worker of the folder that fetches it.
    std::error_code missing;
    const auto there = std::filesystem::file_size(folder_.Part(sha256), missing);
    v1::FileFetch& fetch = fetches.emplace_back();
    fetch.set_sha256(sha256);
    fetch.set_bytes(missing ? 0 : there);
    fetch.set_total_bytes(bytes);
  }
  return fetches;
}

absl::Status DataSetCache::FetchUnlessThere(const FileToFetch& file, const std::string& path,
                                            const FileSource& source) {
  if (std::filesystem::exists(path)) {
    if (IsIntact(path, file.sha256)) {
      return absl::OkStatus();
    }
    spdlog::warn("{} is damaged; fetching {} again", path, file.what);
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Remove(path));
  }
  INNERLOOP_RETURN_IF_ERROR(MakeRoom(file));
  const std::string part_path = folder_.Part(file.sha256);
  std::error_code ignored;
  const bool resumed = std::filesystem::file_size(part_path, ignored) > 0 && !ignored;
  spdlog::info("fetching {} ({} bytes)", file.what, file.bytes);
  absl::Status status = Fetch(file, source);
  if (resumed && absl::IsDataLoss(status)) {
    // The part that was there may be the damaged one.
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Remove(part_path));
    status = Fetch(file, source);
  }
  INNERLOOP_RETURN_IF_ERROR(status);
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Rename(part_path, path));
  metrics_.SetDataSetCacheBytes(folder_.Bytes());
  return absl::OkStatus();
}

absl::Status DataSetCache::MakeRoom(const FileToFetch& file) {
  absl::MutexLock lock(&mu_);
  absl::flat_hash_map<std::string, uint64_t> needed = {{file.sha256, file.bytes}};
  for (const auto& [sha256, held] : held_) {
    if (held.fetching || !held.data_set.expired()) {
      needed.emplace(sha256, held.bytes);
    }
  }
  const absl::Status room = folder_.MakeRoom(needed);
  if (!room.ok()) {
    return {room.code(), absl::StrCat("no room for ", file.what, " of ", file.bytes,
                                      " bytes: ", room.message())};
  }
  held_[file.sha256] = {file.bytes, /*fetching=*/true, {}};
  return absl::OkStatus();
}

absl::Status DataSetCache::Fetch(const FileToFetch& file, const FileSource& source) {
  absl::BitGen random;
  Backoff backoff(kFirstWait, kLastWait, [&random] { return absl::Uniform<double>(random, 0, 1); });
  while (true) {
    bool again = false;
    absl::Status status = Call(file, source, &again);
    if (!again || source.closed.WaitForNotificationWithTimeout(backoff.Next())) {
      return status;
    }
    spdlog::info("{}; asking again", std::string(status.message()));
  }
}

absl::Status DataSetCache::Call(const FileToFetch& file, const FileSource& source, bool* again) {
  grpc::ClientContext context;
  AddHeaders(context);
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
  return FetchFile(*source.stub, context, file, folder_.Part(file.sha256), again);
}

void DataSetCache::CancelFetches() {
  absl::MutexLock lock(&mu_);
  cancelled_ = true;
  for (grpc::ClientContext* context : fetches_) {
    context->TryCancel();
  }
}

}  // namespace innerloop::worker
