// TensorBoard's event files: events in TFRecord framing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tensorboard/event.pb.h"

namespace innerloop::server {

// One record as TFRecord files have it: length, masked CRC32C of the length, bytes, masked CRC32C
// of the bytes; numbers little-endian.
std::string TfRecord(absl::string_view bytes);

// A file that grows. One thread only.
class EventFile {
 public:
  // A new one in the folder, which is made when it is not there. Its name sorts behind those of the
  // files there, because TensorBoard reads them in the order of their names. Begins with the
  // version of the format and a START: what earlier files tell of `start_step` and later steps
  // counts no more. Errors name the path and the system's reason.
  static absl::StatusOr<std::unique_ptr<EventFile>> Create(const std::string& folder,
                                                           absl::Time now, int64_t start_step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // All of them or none.
  absl::Status Append(absl::Span<const tensorboard::Event> events);

  const std::string& path() const { return path_; }

 private:
  EventFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  const std::string path_;
  const int descriptor_;
  // Whole records.
  int64_t bytes_ = 0;
};

}  // namespace innerloop::server
