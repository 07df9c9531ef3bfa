#include "server/tensorboard/event_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "core/support/write_all.h"

namespace innerloop::server {
namespace {

constexpr char kPrefix[] = "events.out.tfevents.";

// Rotated and shifted, so that a checksum over data that hold checksums is a good one, too.
uint32_t MaskedCrc32c(absl::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

template <typename Number>
void AppendLittleEndian(std::string& out, Number value) {
  for (size_t i = 0; i < sizeof(Number); ++i) {
    out.push_back(static_cast<char>(value >> (8 * i)));
  }
}

absl::Status SystemError(const std::string& path, int error) {
  return {error == ENOSPC ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal,
          absl::StrCat("cannot write '", path, "': ", strerror(error))};
}

}  // namespace

std::string TfRecord(absl::string_view bytes) {
  std::string record;
  AppendLittleEndian(record, uint64_t{bytes.size()});
  AppendLittleEndian(record, MaskedCrc32c(record));
  record.append(bytes.data(), bytes.size());
  AppendLittleEndian(record, MaskedCrc32c(bytes));
  return record;
}

absl::StatusOr<std::unique_ptr<EventFile>> EventFile::Create(const std::string& folder,
                                                             absl::Time now, int64_t start_step) {
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(folder));
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileSystem::Real().List(folder));
  const auto files = std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return absl::StartsWith(name, kPrefix);
  });
  // The number first: clocks may be set back.
  std::string path =
      absl::StrFormat("%s/%s%06d.%d", folder, kPrefix, files, absl::ToUnixSeconds(now));
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return SystemError(path, errno);
  }
  std::unique_ptr<EventFile> file(new EventFile(std::move(path), descriptor));
  std::vector<tensorboard::Event> head(2);
  for (tensorboard::Event& event : head) {
    event.set_wall_time(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  }
  head[0].set_file_version("brain.Event:2");
  head[1].set_step(start_step);
  head[1].mutable_session_log()->set_status(tensorboard::SessionLog::START);
  if (const absl::Status begun = file->Append(head); !begun.ok()) {
    ::unlink(file->path().c_str());
    return begun;
  }
  return file;
}

EventFile::~EventFile() { ::close(descriptor_); }

absl::Status EventFile::Append(absl::Span<const tensorboard::Event> events) {
  std::string records;
  for (const tensorboard::Event& event : events) {
    records += TfRecord(event.SerializeAsString());
  }
  if (const absl::Status written = WriteAll(descriptor_, path_, records); !written.ok()) {
    // Readers go no further than half a record.
    return ::ftruncate(descriptor_, bytes_) == 0 ? written : SystemError(path_, errno);
  }
  bytes_ += static_cast<int64_t>(records.size());
  return absl::OkStatus();
}

}  // namespace innerloop::server
