#include "server/storage/upload_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

namespace fs = std::filesystem;

absl::Status CheckFile(const v1::StoredFile& file) {
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

absl::Status CheckHash(const std::string& path, const v1::StoredFile& file,
                       absl::string_view kind) {
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile content, MappedFile::Open(path));
  const std::string sha256 = Sha256::Hex(content.bytes());
  return sha256 == file.sha256()
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat("the ", kind, " arrived with SHA-256 ", sha256,
                                                " instead of ", file.sha256(), "; send it again"));
}

}  // namespace

UploadFolder::UploadFolder(std::string folder, std::string extension, std::string kind,
                           uint64_t quota)
    : folder_(std::move(folder)),
      extension_(std::move(extension)),
      kind_(std::move(kind)),
      quota_(quota) {}

std::string UploadFolder::PathOf(absl::string_view sha256) const {
  return absl::StrCat(folder_, "/", sha256, extension_);
}

std::string UploadFolder::PartOf(absl::string_view sha256) const {
  return absl::StrCat(folder_, "/", sha256, ".part");
}

std::optional<v1::StoredFile> UploadFolder::Find(absl::string_view sha256) const {
  const uint64_t bytes = IsSha256Hex(sha256) ? SizeOf(PathOf(sha256)) : 0;
  if (bytes == 0) {
    return std::nullopt;
  }
  v1::StoredFile file;
  file.set_sha256(std::string(sha256));
  file.set_bytes(bytes);
  return file;
}

absl::StatusOr<std::vector<std::string>> UploadFolder::List() const {
  std::vector<std::string> hashes;
  std::error_code none;
  if (!fs::exists(folder_, none)) {
    return hashes;
  }
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                             FileSystem::Real().List(folder_));
  for (const std::string& name : names) {
    if (const fs::path path(name); path.extension() == extension_) {
      hashes.push_back(path.stem().string());
    }
  }
  return hashes;
}

absl::Status UploadFolder::Remove(absl::string_view sha256) {
  const absl::MutexLock lock(&mutex_);
  used_.reset();
  return FileSystem::Real().Remove(PathOf(sha256));
}

absl::StatusOr<std::vector<UploadFolder::Entry>> UploadFolder::Entries() const {
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end;
       file.increment(error)) {
    const fs::path& path = file->path();
    struct stat facts {};
    const bool unfinished = path.extension() == ".part";
    if ((unfinished || path.extension() == extension_) && stat(path.c_str(), &facts) == 0) {
      entries.push_back({.sha256 = path.stem().string(),
                         .bytes = static_cast<uint64_t>(facts.st_size),
                         .modified = absl::TimeFromTimespec(facts.st_mtim),
                         .unfinished = unfinished});
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read '", folder_, "'"));
  }
  return entries;
}

absl::Status UploadFolder::RemoveUnfinished(absl::string_view sha256) {
  const absl::MutexLock lock(&mutex_);
  if (checking_.count(std::string(sha256)) != 0) {
    return absl::AbortedError(absl::StrCat("this ", kind_, " is being checked; ask again"));
  }
  used_.reset();
  return FileSystem::Real().Remove(PartOf(sha256));
}

absl::StatusOr<uint64_t> UploadFolder::Used() {
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

absl::Status UploadFolder::CheckRoom(uint64_t more) {
  INNERLOOP_ASSIGN_OR_RETURN(const uint64_t used, Used());
  if (used > quota_ || more > quota_ - used) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room for ", more, " bytes more: ", kind_, "s and uploads take ", used, " of ", quota_,
        " bytes; remove a data set, or ask for a larger --data-set-quota"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::BeginUploadResponse> UploadFolder::Begin(const v1::StoredFile& file) {
  INNERLOOP_RETURN_IF_ERROR(CheckFile(file));
  v1::BeginUploadResponse response;
  const absl::MutexLock lock(&mutex_);
  if (const std::string path = PathOf(file.sha256()); SizeOf(path) > 0) {
    // Somebody wants it now: its age begins anew.
    std::error_code ignored;
    fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
    response.set_offset(file.bytes());
    response.set_complete(true);
    return response;
  }
  const uint64_t received = SizeOf(PartOf(file.sha256()));
  if (received > file.bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("bytes is ", file.bytes(), "; ", received,
                                                   " of this file have arrived already"));
  }
  INNERLOOP_RETURN_IF_ERROR(CheckRoom(file.bytes() - received));
  response.set_offset(received);
  return response;
}

absl::Status UploadFolder::Append(const v1::StoredFile& file, uint64_t offset,
                                  absl::string_view data) {
  INNERLOOP_RETURN_IF_ERROR(CheckFile(file));
  const absl::MutexLock lock(&mutex_);
  if (checking_.count(file.sha256()) != 0) {
    return absl::AbortedError(absl::StrCat("this ", kind_, " is being checked; ask again"));
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

absl::Status UploadFolder::Finish(
    const v1::StoredFile& file, const std::function<absl::Status(const std::string& path)>& check) {
  INNERLOOP_RETURN_IF_ERROR(CheckFile(file));
  const std::string part = PartOf(file.sha256());
  {
    const absl::MutexLock lock(&mutex_);
    const uint64_t received = SizeOf(part);
    if (received != file.bytes()) {
      return absl::FailedPreconditionError(absl::StrCat("the upload ended after ", received, " of ",
                                                        file.bytes(), " bytes; go on from there"));
    }
    if (!checking_.insert(file.sha256()).second) {
      return absl::AbortedError(absl::StrCat("this ", kind_, " is being checked; ask again"));
    }
  }
  // Takes seconds for large files: others go on meanwhile.
  absl::Status checked = CheckHash(part, file, kind_);
  if (checked.ok()) {
    checked = check(part);
  }
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
  return FileSystem::Real().Rename(part, PathOf(file.sha256()));
}

}  // namespace innerloop::server
