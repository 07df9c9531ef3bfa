#include "server/storage/data_set_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNameLength = 100;

absl::Status CheckRequest(const v1::BeginDataSetUploadRequest& file) {
  const std::string& name = file.name();
  const bool good_name = !name.empty() && name.size() <= kMaxNameLength && name != "." &&
                         name != ".." && std::all_of(name.begin(), name.end(), [](char c) {
                           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                         });
  if (!good_name) {
    return absl::InvalidArgumentError(
        absl::StrCat("name is '", absl::string_view(name).substr(0, kMaxNameLength),
                     "'; it should be 1 to 100 characters of A-Z a-z 0-9 . _ -"));
  }
  if (!IsSha256Hex(file.sha256())) {
    return absl::InvalidArgumentError("sha256 should be 64 lower-case hexadecimal digits");
  }
  if (file.bytes() == 0) {
    return absl::InvalidArgumentError("bytes is 0; it should be the size of the file");
  }
  return absl::OkStatus();
}

// 0 when there is no such file.
uint64_t SizeOf(const std::string& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

absl::Status SyncFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", path, "'"));
  }
  const absl::Cleanup close_it = [&] { close(descriptor); };
  return fsync(descriptor) == 0
             ? absl::OkStatus()
             : absl::ErrnoToStatus(errno, absl::StrCat("cannot sync '", path, "'"));
}

absl::Status CheckContent(const std::string& path, const v1::BeginDataSetUploadRequest& file) {
  {
    INNERLOOP_ASSIGN_OR_RETURN(const MappedFile content, MappedFile::Open(path));
    const std::string sha256 = Sha256::Hex(content.bytes());
    if (sha256 != file.sha256()) {
      return absl::DataLossError(absl::StrCat("data set '", file.name(), "' arrived with SHA-256 ",
                                              sha256, " instead of ", file.sha256(),
                                              "; send it again"));
    }
  }
  const absl::Status opened = Dataset::Open(path).status();
  return opened.ok() ? opened
                     : absl::InvalidArgumentError(
                           absl::StrCat("'", file.name(), "' is no data set: ", opened.message()));
}

}  // namespace

DataSetStore::DataSetStore(const std::string& state_dir, uint64_t quota, StateStore& state)
    : folder_(absl::StrCat(state_dir, "/datasets")), quota_(quota), state_(state) {}

std::string DataSetStore::PathOf(absl::string_view sha256) const {
  return absl::StrCat(folder_, "/", sha256, ".safetensors");
}

std::string DataSetStore::PartOf(absl::string_view sha256) const {
  return absl::StrCat(folder_, "/", sha256, ".part");
}

absl::StatusOr<uint64_t> DataSetStore::Used() {
  if (!used_.has_value()) {
    INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(folder_));
    INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                               FileSystem::Real().List(folder_));
    uint64_t used = 0;
    for (const std::string& name : names) {
      used += SizeOf(absl::StrCat(folder_, "/", name));
    }
    used_ = used;
  }
  return *used_;
}

absl::Status DataSetStore::CheckRoom(uint64_t more) {
  INNERLOOP_ASSIGN_OR_RETURN(const uint64_t used, Used());
  if (used > quota_ || more > quota_ - used) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no room for ", more, " bytes more: data sets and uploads take ", used, " of ",
                     quota_, " bytes; remove a data set, or ask for a larger --data-set-quota"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::DataSetDescription> DataSetStore::Bind(
    const v1::BeginDataSetUploadRequest& file) {
  INNERLOOP_ASSIGN_OR_RETURN(v1::DataSetDescription description, Find(file.sha256()));
  description.set_name(file.name());
  INNERLOOP_RETURN_IF_ERROR(state_.PutDataSet(description));
  return description;
}

absl::StatusOr<v1::BeginUploadResponse> DataSetStore::Begin(
    const v1::BeginDataSetUploadRequest& request) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(request));
  v1::BeginUploadResponse response;
  const absl::MutexLock lock(&mutex_);
  if (SizeOf(PathOf(request.sha256())) > 0) {
    INNERLOOP_RETURN_IF_ERROR(Bind(request).status());
    response.set_offset(request.bytes());
    response.set_complete(true);
    return response;
  }
  const uint64_t received = SizeOf(PartOf(request.sha256()));
  if (received > request.bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("bytes is ", request.bytes(), "; ", received,
                                                   " of this file have arrived already"));
  }
  INNERLOOP_RETURN_IF_ERROR(CheckRoom(request.bytes() - received));
  response.set_offset(received);
  return response;
}

absl::Status DataSetStore::Append(const v1::BeginDataSetUploadRequest& file, uint64_t offset,
                                  absl::string_view data) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(file));
  const absl::MutexLock lock(&mutex_);
  if (checking_.count(file.sha256()) != 0) {
    return absl::AbortedError("this data set is being checked; ask again");
  }
  const std::string part = PartOf(file.sha256());
  const uint64_t received = SizeOf(part);
  if (offset != received) {
    return absl::OutOfRangeError(
        absl::StrCat("offset is ", offset, "; the upload stands at ", received));
  }
  if (data.size() > file.bytes() - std::min(received, file.bytes())) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than the ", file.bytes(), " bytes that were announced arrived"));
  }
  INNERLOOP_RETURN_IF_ERROR(CheckRoom(data.size()));
  const int descriptor = open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", part, "'"));
  }
  const absl::Cleanup close_it = [&] { close(descriptor); };
  uint64_t at = offset;
  while (!data.empty()) {
    const ssize_t written = pwrite(descriptor, data.data(), data.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      const int error = errno;
      used_.reset();
      return absl::ErrnoToStatus(error, absl::StrCat("cannot write '", part, "'"));
    }
    data.remove_prefix(static_cast<size_t>(written));
    at += static_cast<uint64_t>(written);
    *used_ += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::DataSetDescription> DataSetStore::Finish(
    const v1::BeginDataSetUploadRequest& file) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(file));
  const std::string part = PartOf(file.sha256());
  {
    const absl::MutexLock lock(&mutex_);
    const uint64_t received = SizeOf(part);
    if (received != file.bytes()) {
      return absl::FailedPreconditionError(absl::StrCat("the upload ended after ", received, " of ",
                                                        file.bytes(), " bytes; go on from there"));
    }
    if (!checking_.insert(file.sha256()).second) {
      return absl::AbortedError("this data set is being checked; ask again");
    }
  }
  // Takes seconds for large files: others go on meanwhile.
  absl::Status checked = CheckContent(part, file);
  if (checked.ok()) {
    checked = SyncFile(part);
  }
  const absl::MutexLock lock(&mutex_);
  checking_.erase(file.sha256());
  if (!checked.ok()) {
    used_.reset();
    FileSystem::Real().Remove(part).IgnoreError();
    return checked;
  }
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Rename(part, PathOf(file.sha256())));
  return Bind(file);
}

absl::StatusOr<std::vector<v1::DataSetDescription>> DataSetStore::List() {
  return state_.DataSets();
}

absl::StatusOr<v1::DataSetDescription> DataSetStore::Find(absl::string_view name_or_sha256) {
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::DataSetDescription> all, state_.DataSets());
  for (v1::DataSetDescription& data_set : all) {
    if (name_or_sha256 == data_set.name() || name_or_sha256 == data_set.sha256()) {
      return std::move(data_set);
    }
  }
  // A running job keeps the bytes of a name that stands for others now.
  if (IsSha256Hex(name_or_sha256) && SizeOf(PathOf(name_or_sha256)) > 0) {
    INNERLOOP_ASSIGN_OR_RETURN(const std::shared_ptr<const Dataset> dataset,
                               Dataset::Open(PathOf(name_or_sha256)));
    v1::DataSetDescription description = dataset->Describe();
    description.set_sha256(std::string(name_or_sha256));
    return description;
  }
  return absl::NotFoundError(absl::StrCat(
      "unknown data set '", name_or_sha256.substr(0, kMaxNameLength), "'; known: ",
      all.empty() ? "none" : absl::StrJoin(all, ", ", [](std::string* out, const auto& data_set) {
        absl::StrAppend(out, data_set.name());
      })));
}

absl::Status DataSetStore::Delete(absl::string_view name_or_sha256) {
  const absl::MutexLock lock(&mutex_);
  INNERLOOP_ASSIGN_OR_RETURN(const v1::DataSetDescription found, Find(name_or_sha256));
  const bool by_name = name_or_sha256 == found.name();
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::DataSetDescription> all, state_.DataSets());
  bool last = true;
  for (const v1::DataSetDescription& data_set : all) {
    if (data_set.sha256() != found.sha256()) {
      continue;
    }
    if (by_name && data_set.name() != found.name()) {
      last = false;
      continue;
    }
    INNERLOOP_RETURN_IF_ERROR(state_.DeleteDataSet(data_set.name()));
  }
  if (last) {
    used_.reset();
    return FileSystem::Real().Remove(PathOf(found.sha256()));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::server
