#include "server/service/received_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop::server {

absl::StatusOr<std::unique_ptr<ReceivedFile>> ReceivedFile::Create(const std::string& folder,
                                                                   uint64_t bytes) {
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(folder));
  std::string path = absl::StrCat(folder, "/upload-XXXXXX");
  const int descriptor = mkstemp(path.data());
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot create a file in '", folder, "'"));
  }
  return std::unique_ptr<ReceivedFile>(new ReceivedFile(std::move(path), descriptor, bytes));
}

ReceivedFile::~ReceivedFile() {
  close(descriptor_);
  unlink(path_.c_str());
}

absl::Status ReceivedFile::Append(uint64_t offset, absl::string_view data) {
  if (offset != received_) {
    return absl::OutOfRangeError(
        absl::StrCat("offset is ", offset, "; the upload stands at ", received_));
  }
  if (data.size() > bytes_ - received_) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than the ", bytes_, " bytes that were announced arrived"));
  }
  while (!data.empty()) {
    const ssize_t written = write(descriptor_, data.data(), data.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", path_, "'"));
    }
    data.remove_prefix(static_cast<size_t>(written));
    received_ += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ReceivedFile::Complete() const {
  return received_ == bytes_ ? absl::OkStatus()
                             : absl::FailedPreconditionError(absl::StrCat(
                                   "the upload ended after ", received_, " of ", bytes_, " bytes"));
}

}  // namespace innerloop::server
