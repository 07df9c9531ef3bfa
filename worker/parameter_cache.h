// The parameter versions that a worker holds for the jobs of one stream.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/parameter_set.h"
#include "core/tensor/transfer.h"
#include "innerloop/v1/work.pb.h"
#include "worker/metrics.h"

namespace innerloop::worker {

// Counts the bytes of parameters that are alive in this process. Thread-safe.
class ParameterMemory {
 public:
  ParameterMemory(uint64_t limit, Metrics& metrics) : limit_(limit), metrics_(metrics) {}
  uint64_t limit() const { return limit_; }
  // RESOURCE_EXHAUSTED when the limit would be passed.
  absl::Status Take(uint64_t bytes);
  void Return(uint64_t bytes);

 private:
  const uint64_t limit_;
  Metrics& metrics_;
  std::atomic<uint64_t> taken_{0};
};

// Puts transfers together and keeps what they bring. A version that a work item still uses lives on
// after its release. Called by Session for each batch: one thread at a time.
class ParameterCache {
 public:
  explicit ParameterCache(std::shared_ptr<ParameterMemory> memory) : memory_(std::move(memory)) {}

  // A transfer begins. RESOURCE_EXHAUSTED (its frames will be dropped): too large for the memory.
  // INVALID_ARGUMENT: no coordinator of ours sends this.
  absl::Status Begin(const v1::ParametersBegin& begin);
  // As in BatchHandler.
  absl::StatusOr<char*> OnFrame(uint64_t transfer, uint64_t offset, uint64_t size);
  absl::Status OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c);

  // Null when the version is not (wholly) there.
  std::shared_ptr<const FlatBuffer> Find(const std::string& job_id, uint64_t version) const;
  void ReleaseBelow(const std::string& job_id, uint64_t version);
  void ReleaseJob(const std::string& job_id);

 private:
  // Bytes that are given back when it goes.
  class Reservation {
   public:
    Reservation(std::shared_ptr<ParameterMemory> memory, uint64_t bytes)
        : memory_(std::move(memory)), bytes_(bytes) {}
    Reservation(Reservation&&) noexcept = default;
    Reservation& operator=(Reservation&&) = delete;
    ~Reservation() {
      if (memory_ != nullptr) {
        memory_->Return(bytes_);
      }
    }

   private:
    std::shared_ptr<ParameterMemory> memory_;
    uint64_t bytes_;
  };
  struct Held {
    FlatBuffer buffer;
    Reservation reservation;
  };
  struct Arriving {
    std::string job_id;
    uint64_t version;
    IncomingTransfer transfer;
    Reservation reservation;
  };

  const std::shared_ptr<ParameterMemory> memory_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Arriving>> arriving_;
  absl::flat_hash_map<std::string, std::map<uint64_t, std::shared_ptr<const FlatBuffer>>> versions_;
};

}  // namespace innerloop::worker
