// Work streams carry batches: serialised messages of the form {repeated Entry entries = 1}. This is
// how batches are put together without copying parameters, and taken apart straight into the
// buffers that parameters belong in.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tensor/parameter_set.h"

namespace innerloop {

// Largest write: two full frames and what is around them (an entry that is larger goes alone). And
// the largest message that is taken.
inline constexpr int kMaxBatchBytes = (2 << 20) + 4096;
inline constexpr int kMaxMessageBytes = 4 << 20;
// Results up to this size are sent at once, larger ones are announced and sent when the coordinator
// asks for them.
inline constexpr uint64_t kDirectResultBytes = uint64_t{4} << 20;
// Field number of `frame` in both Instruction and Report.
inline constexpr int kFrameField = 4;

// A flat buffer cut into frames once, with their checksums; its bytes are shared by every stream
// that it is written to. Immutable; thread-safe.
class EncodedBuffer {
 public:
  explicit EncodedBuffer(std::shared_ptr<const FlatBuffer> buffer);
  uint64_t bytes() const;
  size_t frames() const { return slices_.size(); }
  const grpc::Slice& slice(size_t frame) const { return slices_[frame]; }
  uint32_t crc32c(size_t frame) const { return crcs_[frame]; }

 private:
  std::shared_ptr<const FlatBuffer> buffer_;
  std::vector<grpc::Slice> slices_;
  std::vector<uint32_t> crcs_;
};

// What waits to be written to one stream, in order. Thread-compatible: its stream locks.
class OutgoingQueue {
 public:
  // An Instruction or a Report.
  void Push(const google::protobuf::MessageLite& entry);
  void PushFrames(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer);
  bool empty() const { return items_.empty(); }
  // The next batch: as much of the queue as fits one write. Call only when not empty.
  grpc::ByteBuffer Next();
  void Clear();

 private:
  // Serialised entries, the last of which may be a frame's beginning that `data` completes.
  struct Item {
    std::string head;
    grpc::Slice data;
    bool has_data = false;
    size_t bytes() const { return head.size() + (has_data ? data.size() : 0); }
  };
  // Where the next entry's bytes go.
  std::string& Head(size_t more);

  std::deque<Item> items_;
};

// Takes the entries of a batch in order. A status that is not OK ends the batch.
class BatchHandler {
 public:
  virtual ~BatchHandler() = default;
  // A serialised Instruction or Report that is no frame. (One that hides its frame by an unusual
  // encoding comes here too; nobody sends such.)
  virtual absl::Status OnEntry(absl::string_view serialised) = 0;
  // Where the frame's `size` bytes are to be put; null drops them (a transfer that is no longer
  // wanted).
  virtual absl::StatusOr<char*> OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) = 0;
  // The bytes are there.
  virtual absl::Status OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) = 0;
};

// INVALID_ARGUMENT for bytes that are no batch, whatever they are; otherwise the first status of
// the handler that is not OK.
absl::Status ReadBatch(grpc::ByteBuffer& batch, BatchHandler& handler);

}  // namespace innerloop
