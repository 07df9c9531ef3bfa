#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace innerloop::server {

// A file that arrives in pieces and is gone again at the end of its life. One thread only.
class ReceivedFile {
 public:
  // In `folder`, which is made.
  static absl::StatusOr<std::unique_ptr<ReceivedFile>> Create(const std::string& folder,
                                                              uint64_t bytes);
  ~ReceivedFile();
  ReceivedFile(const ReceivedFile&) = delete;
  ReceivedFile& operator=(const ReceivedFile&) = delete;

  // OUT_OF_RANGE when the piece is not the next one, INVALID_ARGUMENT beyond the announced size.
  absl::Status Append(uint64_t offset, absl::string_view data);
  // FAILED_PRECONDITION when bytes are missing.
  absl::Status Complete() const;
  const std::string& path() const { return path_; }

 private:
  ReceivedFile(std::string path, int descriptor, uint64_t bytes)
      : path_(std::move(path)), descriptor_(descriptor), bytes_(bytes) {}

  const std::string path_;
  const int descriptor_;
  const uint64_t bytes_;
  uint64_t received_ = 0;
};

}  // namespace innerloop::server
