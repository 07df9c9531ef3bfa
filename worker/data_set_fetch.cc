#include "worker/data_set_fetch.h"

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "core/rpc/status.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"
#include "core/support/write_all.h"

namespace innerloop::worker {
namespace {

absl::Status SystemError(absl::string_view doing, const std::string& path) {
  const int error = errno;
  const std::string what =
      absl::StrCat("cannot ", doing, " ", path, ": ", std::generic_category().message(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(what)
                                            : absl::UnavailableError(what);
}

// The file that grows, its checksum so far, and its length. One thread only.
class PartFile {
 public:
  explicit PartFile(std::string path) : path_(std::move(path)) {}
  ~PartFile() {
    if (file_ >= 0) {
      close(file_);
    }
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  // Takes over what is there already, if it is no longer than `limit`.
  absl::Status Open(uint64_t limit) {
    file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file_ < 0) {
      return SystemError("open", path_);
    }
    std::vector<char> block(1 << 20);
    while (true) {
      const ssize_t got = read(file_, block.data(), block.size());
      if (got < 0) {
        return SystemError("read", path_);
      }
      if (got == 0) {
        return absl::OkStatus();
      }
      hash_.Update({block.data(), static_cast<size_t>(got)});
      size_ += static_cast<uint64_t>(got);
      if (size_ > limit) {
        return Restart();
      }
    }
  }

  absl::Status Append(absl::string_view bytes) {
    hash_.Update(bytes);
    size_ += bytes.size();
    const absl::Status written = WriteAll(file_, path_, bytes);
    return written.ok() || absl::IsResourceExhausted(written)
               ? written
               : absl::UnavailableError(written.message());
  }

  absl::Status Restart() {
    if (ftruncate(file_, 0) != 0 || lseek(file_, 0, SEEK_SET) != 0) {
      return SystemError("truncate", path_);
    }
    hash_ = Sha256();
    size_ = 0;
    return absl::OkStatus();
  }

  absl::Status Sync() { return fsync(file_) == 0 ? absl::OkStatus() : SystemError("sync", path_); }
  std::string FinishHash() { return hash_.FinishHex(); }
  uint64_t size() const { return size_; }

 private:
  const std::string path_;
  int file_ = -1;
  Sha256 hash_;
  uint64_t size_ = 0;
};

absl::Status CheckSpace(const FileToFetch& file, uint64_t missing, const std::string& path) {
  struct statvfs disk {};
  if (statvfs(path.c_str(), &disk) != 0) {
    return absl::OkStatus();  // writing will tell
  }
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (missing > free) {
    return absl::ResourceExhaustedError(absl::StrCat(
        file.what, " needs ", missing, " more bytes; the disk of ", path, " has ", free, " free"));
  }
  return absl::OkStatus();
}

// Whether gRPC ended a call that did not get through, or broke off.
bool WasCutOff(const grpc::Status& status) {
  return !IsAnswer(status) && (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                               status.error_code() == grpc::StatusCode::UNAVAILABLE);
}

// What the coordinator refuses is none of this machine's limits, for which jobs are declined.
absl::Status FromCoordinator(const grpc::Status& status) {
  absl::Status said = FromGrpc(status);
  return absl::IsResourceExhausted(said) || absl::IsPermissionDenied(said)
             ? absl::UnavailableError(said.message())
             : said;
}

// Has the coordinator send the rest of the file.
absl::Status Receive(v1::Work::StubInterface& stub, grpc::ClientContext& context,
                     const FileToFetch& file, PartFile& part, bool* again) {
  v1::FetchFileRequest request;
  request.set_sha256(file.sha256);
  request.set_offset(part.size());
  const auto reader = stub.FetchFile(&context, request);
  v1::FileChunk chunk;
  absl::Status status;
  while (status.ok() && reader->Read(&chunk)) {
    if (chunk.offset() != part.size() || chunk.data().size() > file.bytes - part.size()) {
      status = absl::DataLossError(
          absl::StrCat("a piece of ", chunk.data().size(), " bytes at offset ", chunk.offset(),
                       " where offset ", part.size(), " of ", file.bytes, " is next"));
    } else {
      status = part.Append(chunk.data());
    }
  }
  if (!status.ok()) {
    context.TryCancel();
  }
  const grpc::Status finished = reader->Finish();
  if (!status.ok()) {
    return status;
  }
  if (!finished.ok()) {
    *again = WasCutOff(finished);
    return FromCoordinator(finished);
  }
  return part.size() == file.bytes
             ? absl::OkStatus()
             : absl::DataLossError(
                   absl::StrCat("it ends after ", part.size(), " of ", file.bytes, " bytes"));
}

}  // namespace

absl::Status FetchFile(v1::Work::StubInterface& stub, grpc::ClientContext& context,
                       const FileToFetch& file, const std::string& part_path, bool* again) {
  PartFile part(part_path);
  INNERLOOP_RETURN_IF_ERROR(part.Open(file.bytes));
  INNERLOOP_RETURN_IF_ERROR(CheckSpace(file, file.bytes - part.size(), part_path));
  if (part.size() < file.bytes) {
    const absl::Status status = Receive(stub, context, file, part, again);
    if (!status.ok()) {
      return {status.code(), absl::StrCat("cannot fetch ", file.what, ": ", status.message())};
    }
  }
  const std::string hash = part.FinishHash();
  if (hash != file.sha256) {
    unlink(part_path.c_str());
    return absl::DataLossError(
        absl::StrCat(file.what, " arrived with SHA-256 ", hash, " instead of ", file.sha256));
  }
  return part.Sync();
}

}  // namespace innerloop::worker
