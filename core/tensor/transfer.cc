#include "core/tensor/transfer.h"

#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"

namespace innerloop {
namespace {

// Protocol Buffers' encoding (https://protobuf.dev/programming-guides/encoding/).
constexpr int kVarint = 0;
constexpr int kLengthDelimited = 2;
constexpr int kFixed32 = 5;

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>(value | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

void AppendTag(std::string& out, int field, int type) {
  AppendVarint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type));
}

// Puts the tag and length of a field before `head`, which `tail` more bytes will follow.
void Wrap(std::string& head, int field, uint64_t tail) {
  std::string wrapped;
  AppendTag(wrapped, field, kLengthDelimited);
  AppendVarint(wrapped, head.size() + tail);
  head.insert(0, wrapped);
}

}  // namespace

std::string FrameHeader(int frame_field, uint64_t transfer, uint64_t offset, uint32_t crc32c,
                        uint64_t data_size) {
  std::string head;
  head.reserve(48);
  AppendTag(head, v1::Frame::kTransferFieldNumber, kVarint);
  AppendVarint(head, transfer);
  AppendTag(head, v1::Frame::kOffsetFieldNumber, kVarint);
  AppendVarint(head, offset);
  AppendTag(head, v1::Frame::kCrc32CFieldNumber, kFixed32);
  for (int shift = 0; shift < 32; shift += 8) {
    head.push_back(static_cast<char>(crc32c >> shift));
  }
  AppendTag(head, v1::Frame::kDataFieldNumber, kLengthDelimited);
  AppendVarint(head, data_size);
  Wrap(head, frame_field, data_size);
  Wrap(head, 1, data_size);
  return head;
}

IncomingTransfer::IncomingTransfer(uint64_t transfer, uint64_t bytes)
    : transfer_(transfer),
      bytes_(bytes),
      buffer_(FlatBuffer::Uninitialised(static_cast<int64_t>(bytes / sizeof(float)))) {}

absl::StatusOr<char*> IncomingTransfer::Reserve(uint64_t offset, uint64_t size) {
  const auto invalid = [&](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat("transfer ", transfer_, ": ", what...));
  };
  if (offset != received_) {
    return invalid("a frame begins at byte ", offset, "; byte ", received_, " is next");
  }
  if (size == 0 || size > static_cast<uint64_t>(kMaxFrameBytes)) {
    return invalid("a frame has ", size, " bytes; frames have 1 to ", kMaxFrameBytes);
  }
  if (size > bytes_ - received_) {
    return invalid("a frame of ", size, " bytes at byte ", offset, " goes beyond the ", bytes_,
                   " bytes that were announced");
  }
  return buffer_.mutable_bytes() + offset;
}

absl::Status IncomingTransfer::Commit(uint64_t size, uint32_t crc32c) {
  const uint32_t actual = Crc32c(buffer_.bytes().substr(received_, size));
  if (actual != crc32c) {
    return absl::DataLossError(absl::StrCat(
        "transfer ", transfer_, ": the frame at byte ", received_, " has CRC32C ",
        absl::Hex(actual, absl::kZeroPad8), ", not ", absl::Hex(crc32c, absl::kZeroPad8)));
  }
  received_ += size;
  return absl::OkStatus();
}

}  // namespace innerloop
