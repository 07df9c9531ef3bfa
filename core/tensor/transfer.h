// Flat buffers in frames: the pieces that travel, and their putting together at the other end.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tensor/parameter_set.h"

namespace innerloop {

// Most bytes of data in a frame.
inline constexpr int64_t kMaxFrameBytes = int64_t{1} << 20;

// The serialised beginning of an outer message {repeated Entry entries = 1} that holds one entry
// {Frame frame = `frame_field`} whose data comes right after these bytes: the tags and lengths of
// all levels, the frame's other fields, and the tag and length of `data`. With `data_size` bytes
// appended it is a valid serialised CoordinatorMessage (frame_field 4) or WorkerMessage
// (frame_field 4).
std::string FrameHeader(int frame_field, uint64_t transfer, uint64_t offset, uint32_t crc32c,
                        uint64_t data_size);

// A buffer that frames fill in order. One thread only.
class IncomingTransfer {
 public:
  // `bytes` is a multiple of 4 that the caller has checked against its limit.
  IncomingTransfer(uint64_t transfer, uint64_t bytes);

  uint64_t transfer() const { return transfer_; }
  // Where the next frame's data must be put, or why the frame does not fit: wrong offset, beyond
  // the end, empty, too large. INVALID_ARGUMENT. The caller copies `size` bytes there and then
  // calls Commit.
  absl::StatusOr<char*> Reserve(uint64_t offset, uint64_t size);
  // DATA_LOSS when the bytes just put in do not have this checksum.
  absl::Status Commit(uint64_t size, uint32_t crc32c);
  bool complete() const { return received_ == bytes_; }
  // Call when complete.
  FlatBuffer Take() { return std::move(buffer_); }

 private:
  uint64_t transfer_;
  uint64_t bytes_;
  uint64_t received_ = 0;
  FlatBuffer buffer_;
};

}  // namespace innerloop
