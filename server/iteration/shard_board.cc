#include "server/iteration/shard_board.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace innerloop::server {
namespace {

constexpr int kMaxLosses = 3;
// The same error this often, even from a single worker, and any errors that often, fail the job: it
// ends instead of trying for ever.
constexpr int kMaxSameErrors = 3;
constexpr int kMaxErrors = 6;

}  // namespace

void ShardBoard::Reset(size_t shards) {
  shards_.clear();
  shards_.resize(shards);
  done_ = 0;
  pending_.clear();
  for (size_t i = 0; i < shards; ++i) {
    pending_.push_back(i);
  }
  wanted_copies_.clear();
  copies_.clear();
  failure_ = absl::OkStatus();
}

std::optional<size_t> ShardBoard::Pick(
    const std::string& worker, absl::FunctionRef<bool(const std::set<std::string>&)> others_can) {
  const auto suits = [&](size_t index) {
    const std::set<std::string>& failed_on = shards_[index].failed_on;
    return failed_on.count(worker) == 0 || !others_can(failed_on);
  };
  for (auto it = pending_.begin(); it != pending_.end(); ++it) {
    if (suits(*it)) {
      const size_t index = *it;
      pending_.erase(it);
      return index;
    }
  }
  for (auto it = wanted_copies_.begin(); it != wanted_copies_.end(); ++it) {
    const bool has_it = std::any_of(copies_.begin(), copies_.end(), [&](const auto& copy) {
      return copy.second.shard == *it && copy.second.worker == worker;
    });
    if (!has_it && suits(*it)) {
      const size_t index = *it;
      wanted_copies_.erase(it);
      return index;
    }
  }
  return std::nullopt;
}

void ShardBoard::Started(uint64_t work, size_t shard, const std::string& worker,
                         absl::Duration now) {
  copies_[work] = {shard, worker, /*started=*/now, /*ready=*/now, /*took=*/std::nullopt};
  ++shards_[shard].copies;
}

void ShardBoard::Waits(uint64_t work, absl::Duration now) {
  if (const auto it = copies_.find(work); it != copies_.end()) {
    it->second.ready = now;
  }
}

void ShardBoard::Begun(uint64_t work, absl::Duration now) {
  if (const auto it = copies_.find(work); it != copies_.end()) {
    it->second.took = now - it->second.ready;
    Unwant(it->second.shard);
  }
}

std::optional<ShardBoard::Copy> ShardBoard::Remove(uint64_t work) {
  const auto it = copies_.find(work);
  if (it == copies_.end()) {
    return std::nullopt;
  }
  Copy copy = std::move(it->second);
  copies_.erase(it);
  --shards_[copy.shard].copies;
  return copy;
}

void ShardBoard::PutBack(size_t index) {
  Shard& shard = shards_[index];
  if (shard.done || shard.copies > 0) {
    return;
  }
  // A copy that was wanted is the shard itself now.
  Unwant(index);
  pending_.push_front(index);
}

void ShardBoard::Unwant(size_t index) {
  Shard& shard = shards_[index];
  if (shard.copy_wanted) {
    wanted_copies_.erase(std::remove(wanted_copies_.begin(), wanted_copies_.end(), index),
                         wanted_copies_.end());
    shard.copy_wanted = false;
  }
}

bool ShardBoard::Finished(uint64_t work, absl::Duration now, std::vector<uint64_t>* drop) {
  const std::optional<Copy> copy = Remove(work);
  if (!copy.has_value()) {
    return false;
  }
  Shard& shard = shards_[copy->shard];
  if (shard.done) {
    return false;
  }
  shard.done = true;
  ++done_;
  pace_.Add(copy->took.value_or(now - copy->ready));
  if (shard.copies > 0) {
    for (auto it = copies_.begin(); it != copies_.end();) {
      if (it->second.shard == copy->shard) {
        drop->push_back(it->first);
        copies_.erase(it++);
      } else {
        ++it;
      }
    }
    shard.copies = 0;
  }
  Unwant(copy->shard);
  return true;
}

ShardBoard::Verdict ShardBoard::Lost(uint64_t work, const std::string& name) {
  const std::optional<Copy> copy = Remove(work);
  if (!copy.has_value()) {
    return Verdict::kStale;
  }
  Shard& shard = shards_[copy->shard];
  if (++shard.losses >= kMaxLosses) {
    failure_ = absl::AbortedError(
        absl::StrCat(name, " was lost ", shard.losses,
                     " times: each worker that had it died, hung or took too long"));
    return Verdict::kFail;
  }
  PutBack(copy->shard);
  return Verdict::kRetry;
}

ShardBoard::Verdict ShardBoard::Returned(uint64_t work) {
  const std::optional<Copy> copy = Remove(work);
  if (!copy.has_value()) {
    return Verdict::kStale;
  }
  PutBack(copy->shard);
  return Verdict::kRetry;
}

ShardBoard::Verdict ShardBoard::Failed(uint64_t work, const absl::Status& error,
                                       const std::string& name) {
  const std::optional<Copy> copy = Remove(work);
  if (!copy.has_value()) {
    return Verdict::kStale;
  }
  if (error.code() == absl::StatusCode::kInvalidArgument ||
      error.code() == absl::StatusCode::kResourceExhausted) {
    failure_ = error;
    return Verdict::kFail;
  }
  Shard& shard = shards_[copy->shard];
  auto& [workers, times] = shard.seen[{error.raw_code(), std::string(error.message())}];
  workers.insert(copy->worker);
  ++times;
  ++shard.errors;
  shard.failed_on.insert(copy->worker);
  if (workers.size() >= 2 || times >= kMaxSameErrors || shard.errors >= kMaxErrors) {
    failure_ = absl::Status(error.code(), absl::StrCat(name, " failed on ", shard.failed_on.size(),
                                                       " worker(s): ", error.message()));
    return Verdict::kFail;
  }
  PutBack(copy->shard);
  return Verdict::kRetry;
}

void ShardBoard::MarkSlow(absl::Duration now) {
  if (copies_.empty()) {
    return;
  }
  const std::optional<absl::Duration> slow_after = pace_.SlowAfter();
  if (!slow_after.has_value()) {
    return;
  }
  for (const auto& [work, copy] : copies_) {
    Shard& shard = shards_[copy.shard];
    if (shard.copies == 1 && !shard.copy_wanted && !copy.took.has_value() &&
        now - copy.started > *slow_after) {
      shard.copy_wanted = true;
      wanted_copies_.push_back(copy.shard);
    }
  }
}

std::vector<uint64_t> ShardBoard::TimedOut(absl::Duration now) const {
  std::vector<uint64_t> result;
  for (const auto& [work, copy] : copies_) {
    if (now - copy.ready > shard_timeout_) {
      result.push_back(work);
    }
  }
  return result;
}

std::vector<uint64_t> ShardBoard::InFlight() const {
  std::vector<uint64_t> result;
  result.reserve(copies_.size());
  for (const auto& [work, copy] : copies_) {
    result.push_back(work);
  }
  return result;
}

}  // namespace innerloop::server
