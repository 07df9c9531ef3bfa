#include "worker/parameter_cache.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop::worker {

absl::Status ParameterMemory::Take(uint64_t bytes) {
  uint64_t before = taken_.load();
  do {
    if (bytes > limit_ || before > limit_ - bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(bytes, " bytes of parameters do not fit: ", before, " of ", limit_,
                       " are in use; start the worker with a larger --max-memory"));
    }
  } while (!taken_.compare_exchange_weak(before, before + bytes));
  metrics_.OnParameterBytes(static_cast<int64_t>(bytes));
  return absl::OkStatus();
}

void ParameterMemory::Return(uint64_t bytes) {
  taken_ -= bytes;
  metrics_.OnParameterBytes(-static_cast<int64_t>(bytes));
}

absl::Status ParameterCache::Begin(const v1::ParametersBegin& begin) {
  if (begin.bytes() == 0 || begin.bytes() % sizeof(float) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("parameters of job ", begin.job_id(), " with ",
                                                   begin.bytes(),
                                                   " bytes; a multiple of 4 above 0 is right"));
  }
  if (arriving_.contains(begin.transfer())) {
    return absl::InvalidArgumentError(
        absl::StrCat("transfer ", begin.transfer(), " begins while it is under way"));
  }
  INNERLOOP_RETURN_IF_ERROR(memory_->Take(begin.bytes()));
  Reservation reservation(memory_, begin.bytes());
  arriving_.emplace(begin.transfer(), std::make_unique<Arriving>(Arriving{
                                          begin.job_id(), begin.version(),
                                          IncomingTransfer(begin.transfer(), begin.bytes()),
                                          std::move(reservation)}));
  return absl::OkStatus();
}

absl::StatusOr<char*> ParameterCache::OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) {
  const auto it = arriving_.find(transfer);
  if (it == arriving_.end()) {
    return nullptr;
  }
  return it->second->transfer.Reserve(offset, size);
}

absl::Status ParameterCache::OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) {
  const auto it = arriving_.find(transfer);
  if (it == arriving_.end()) {
    return absl::OkStatus();
  }
  Arriving& arriving = *it->second;
  INNERLOOP_RETURN_IF_ERROR(arriving.transfer.Commit(size, crc32c));
  if (arriving.transfer.complete()) {
    auto held =
        std::make_shared<Held>(Held{arriving.transfer.Take(), std::move(arriving.reservation)});
    versions_[arriving.job_id][arriving.version] =
        std::shared_ptr<const FlatBuffer>(held, &held->buffer);
    arriving_.erase(it);
  }
  return absl::OkStatus();
}

std::shared_ptr<const FlatBuffer> ParameterCache::Find(const std::string& job_id,
                                                       uint64_t version) const {
  const auto job = versions_.find(job_id);
  if (job == versions_.end()) {
    return nullptr;
  }
  const auto it = job->second.find(version);
  return it == job->second.end() ? nullptr : it->second;
}

void ParameterCache::ReleaseBelow(const std::string& job_id, uint64_t version) {
  if (const auto job = versions_.find(job_id); job != versions_.end()) {
    job->second.erase(job->second.begin(), job->second.lower_bound(version));
  }
}

void ParameterCache::ReleaseJob(const std::string& job_id) {
  versions_.erase(job_id);
  for (auto it = arriving_.begin(); it != arriving_.end();) {
    if (it->second->job_id == job_id) {
      arriving_.erase(it++);
    } else {
      ++it;
    }
  }
}

}  // namespace innerloop::worker
