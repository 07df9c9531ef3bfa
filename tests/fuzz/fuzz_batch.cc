// Batches of the work stream, in slices of different sizes, into transfers.
#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "core/rpc/batch_stream.h"
#include "core/support/checksum.h"
#include "core/tensor/transfer.h"

namespace {

// Takes frames of the transfers 0 to 3, of 64 bytes each; drops those of others.
class Receiver final : public innerloop::BatchHandler {
 public:
  absl::Status OnEntry(absl::string_view serialised) override {
    checksum_ = innerloop::Crc32c(serialised, checksum_);  // reads every byte
    return absl::OkStatus();
  }

  absl::StatusOr<char*> OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) override {
    if (transfer > 3) {
      return nullptr;
    }
    return transfers_.try_emplace(transfer, transfer, 64).first->second.Reserve(offset, size);
  }

  absl::Status OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) override {
    const auto found = transfers_.find(transfer);
    return found == transfers_.end() ? absl::OkStatus() : found->second.Commit(size, crc32c);
  }

 private:
  uint32_t checksum_ = 0;
  std::map<uint64_t, innerloop::IncomingTransfer> transfers_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  // The first byte is the length of the slices, as a socket might cut them.
  const size_t length = data[0] == 0 ? size : data[0];
  std::vector<grpc::Slice> slices;
  for (size_t begin = 1; begin < size; begin += length) {
    slices.emplace_back(data + begin, std::min(length, size - begin));
  }
  grpc::ByteBuffer batch(slices.data(), slices.size());
  Receiver receiver;
  innerloop::ReadBatch(batch, receiver).IgnoreError();
  return 0;
}
