#include "core/rpc/batch_stream.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"
#include "core/tensor/transfer.h"

namespace innerloop {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr uint32_t kEntryTag = (1 << 3) | 2;
constexpr uint32_t kFrameTag = (kFrameField << 3) | 2;
constexpr uint32_t kTransferTag = (1 << 3) | 0;
constexpr uint32_t kOffsetTag = (2 << 3) | 0;
constexpr uint32_t kCrcTag = (3 << 3) | 5;
constexpr uint32_t kDataTag = (15 << 3) | 2;

// Small entries that follow each other share a slice up to this size.
constexpr size_t kMaxJoinedBytes = 64 << 10;

absl::Status NoBatch(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("not a batch: ", why));
}

// The length of a field whose tag was just read, checked against what is left of its surroundings.
absl::StatusOr<int> ReadLength(CodedInputStream& input, int64_t left) {
  const int before = input.CurrentPosition();
  uint32_t length = 0;
  if (!input.ReadVarint32(&length)) {
    return NoBatch("it ends inside a length");
  }
  left -= input.CurrentPosition() - before;
  if (length > left) {
    return NoBatch(absl::StrCat("a length of ", length, " where ", left, " bytes are left"));
  }
  return static_cast<int>(length);
}

absl::Status ReadFrameData(CodedInputStream& input, BatchHandler& handler, uint64_t transfer,
                           uint64_t offset, uint32_t crc32c) {
  INNERLOOP_ASSIGN_OR_RETURN(const int size, ReadLength(input, input.BytesUntilLimit()));
  if (size == 0 || size > kMaxFrameBytes) {
    return NoBatch(
        absl::StrCat("a frame of ", size, " bytes; 1 to ", kMaxFrameBytes, " are allowed"));
  }
  if (size != input.BytesUntilLimit()) {
    return NoBatch("a frame whose data is not its last field");
  }
  INNERLOOP_ASSIGN_OR_RETURN(char* const destination,
                             handler.OnFrame(transfer, offset, static_cast<uint64_t>(size)));
  const bool read = destination == nullptr ? input.Skip(size) : input.ReadRaw(destination, size);
  if (!read) {
    return NoBatch("it ends inside a frame");
  }
  return destination == nullptr
             ? absl::OkStatus()
             : handler.OnFrameDone(transfer, static_cast<uint64_t>(size), crc32c);
}

// An entry that begins with the tag of a frame; the input is limited to the entry.
absl::Status ReadFrame(CodedInputStream& input, BatchHandler& handler) {
  input.ReadTag();
  INNERLOOP_ASSIGN_OR_RETURN(const int size, ReadLength(input, input.BytesUntilLimit()));
  if (size != input.BytesUntilLimit()) {
    return NoBatch("an entry with more than a frame");
  }
  uint64_t transfer = 0;
  uint64_t offset = 0;
  uint32_t crc32c = 0;
  while (true) {
    const uint32_t tag = input.ReadTag();
    bool read = true;
    switch (tag) {
      case 0:
        return NoBatch("a frame without data");
      case kTransferTag:
        read = input.ReadVarint64(&transfer);
        break;
      case kOffsetTag:
        read = input.ReadVarint64(&offset);
        break;
      case kCrcTag:
        read = input.ReadLittleEndian32(&crc32c);
        break;
      case kDataTag:
        return ReadFrameData(input, handler, transfer, offset, crc32c);
      default:
        read = WireFormatLite::SkipField(&input, tag);
    }
    if (!read) {
      return NoBatch("a damaged frame");
    }
  }
}

// Any other entry of `size` bytes. What lies in one slice is handed over where it lies.
absl::Status ReadEntry(CodedInputStream& input, BatchHandler& handler, int size,
                       const void* contiguous, int contiguous_size) {
  if (contiguous_size >= size) {
    const absl::string_view view(static_cast<const char*>(contiguous), static_cast<size_t>(size));
    INNERLOOP_RETURN_IF_ERROR(handler.OnEntry(view));
    input.Skip(size);
    return absl::OkStatus();
  }
  std::string copy(static_cast<size_t>(size), '\0');
  if (!input.ReadRaw(copy.data(), size)) {
    return NoBatch("it ends inside an entry");
  }
  return handler.OnEntry(copy);
}

}  // namespace

EncodedBuffer::EncodedBuffer(std::shared_ptr<const FlatBuffer> buffer)
    : buffer_(std::move(buffer)) {
  const absl::string_view bytes = buffer_->bytes();
  for (size_t begin = 0; begin < bytes.size(); begin += kMaxFrameBytes) {
    const absl::string_view piece = bytes.substr(begin, kMaxFrameBytes);
    crcs_.push_back(Crc32c(piece));
    // gRPC takes a pointer to non-const bytes, which it never writes to. The slice keeps the
    // buffer alive until the last stream has sent it.
    slices_.emplace_back(
        const_cast<char*>(piece.data()), piece.size(),
        [](void* owner) { delete static_cast<std::shared_ptr<const FlatBuffer>*>(owner); },
        new std::shared_ptr<const FlatBuffer>(buffer_));
  }
}

uint64_t EncodedBuffer::bytes() const { return buffer_->bytes().size(); }

std::string& OutgoingQueue::Head(size_t more) {
  if (items_.empty() || items_.back().has_data ||
      items_.back().head.size() + more > kMaxJoinedBytes) {
    items_.emplace_back();
  }
  return items_.back().head;
}

void OutgoingQueue::Push(const google::protobuf::MessageLite& entry) {
  const size_t size = entry.ByteSizeLong();
  std::string& head = Head(size + 6);
  const size_t before = head.size();
  const size_t prefix = 1 + CodedOutputStream::VarintSize32(static_cast<uint32_t>(size));
  head.resize(before + prefix + size);
  auto* out = reinterpret_cast<uint8_t*>(head.data() + before);
  *out++ = kEntryTag;
  out = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), out);
  entry.SerializeWithCachedSizesToArray(out);
}

void OutgoingQueue::PushFrames(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer) {
  uint64_t offset = 0;
  for (size_t i = 0; i < buffer->frames(); ++i) {
    const grpc::Slice& slice = buffer->slice(i);
    const std::string header =
        FrameHeader(kFrameField, transfer, offset, buffer->crc32c(i), slice.size());
    Head(header.size()).append(header);
    items_.back().data = slice;
    items_.back().has_data = true;
    offset += slice.size();
  }
}

grpc::ByteBuffer OutgoingQueue::Next() {
  std::vector<grpc::Slice> slices;
  size_t bytes = 0;
  do {
    Item& item = items_.front();
    bytes += item.bytes();
    slices.emplace_back(item.head);
    if (item.has_data) {
      slices.push_back(std::move(item.data));
    }
    items_.pop_front();
  } while (!items_.empty() && bytes + items_.front().bytes() <= kMaxBatchBytes);
  return {slices.data(), slices.size()};
}

void OutgoingQueue::Clear() { items_.clear(); }

absl::Status ReadBatch(grpc::ByteBuffer& batch, BatchHandler& handler) {
  grpc::ProtoBufferReader reader(&batch);
  if (!reader.status().ok()) {
    return NoBatch(reader.status().error_message());
  }
  const auto total = static_cast<int64_t>(batch.Length());
  CodedInputStream input(&reader);
  while (true) {
    const uint32_t tag = input.ReadTag();
    if (tag == 0) {
      return input.ConsumedEntireMessage() ? absl::OkStatus() : NoBatch("a damaged tag");
    }
    if (tag != kEntryTag) {
      if (!WireFormatLite::SkipField(&input, tag)) {
        return NoBatch("a damaged field");
      }
      continue;
    }
    INNERLOOP_ASSIGN_OR_RETURN(const int size, ReadLength(input, total - input.CurrentPosition()));
    const void* contiguous = nullptr;
    int contiguous_size = 0;
    if (size > 0) {
      input.GetDirectBufferPointer(&contiguous, &contiguous_size);
    }
    if (contiguous_size > 0 && *static_cast<const uint8_t*>(contiguous) == kFrameTag) {
      const auto limit = input.PushLimit(size);
      INNERLOOP_RETURN_IF_ERROR(ReadFrame(input, handler));
      input.PopLimit(limit);
    } else {
      INNERLOOP_RETURN_IF_ERROR(ReadEntry(input, handler, size, contiguous, contiguous_size));
    }
  }
}

}  // namespace innerloop
