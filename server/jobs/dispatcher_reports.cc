// Dispatcher: what comes back from workers, or does not.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/shorten.h"
#include "server/jobs/dispatcher.h"

namespace innerloop::server {
namespace {

// Announced results that travel at the same time, unless a single one is larger.
constexpr uint64_t kMostPulledBytes = uint64_t{512} << 20;
// Of what a worker says of a failure, which is stored with the job, and of a job that it declines.
constexpr size_t kMostMessageBytes = 10'000;
constexpr size_t kMostReasonBytes = 1'000;

}  // namespace

Dispatcher::Assignment* Dispatcher::Find(const Worker& worker, uint64_t work) {
  const auto it = items_.find(work);
  return it == items_.end() || it->second.worker != worker.id ? nullptr : &it->second;
}

Dispatcher::Assignment Dispatcher::Remove(uint64_t work) {
  const auto it = items_.find(work);
  Assignment assignment = std::move(it->second);
  items_.erase(it);
  assignment.lane->OnInFlight(-1);
  if (Worker* worker = registry_.Find(assignment.worker); worker != nullptr) {
    worker->items.erase(work);
    if (assignment.begun) {
      worker->incoming.erase(assignment.result.transfer());
      if (assignment.result.announced() && !assignment.pulled) {
        worker->link->Forget(assignment.result.transfer());
      }
    } else {
      --worker->busy;
    }
  }
  if (!assignment.begun) {
    if (LaneState* state = StateOf(assignment.lane.get()); state != nullptr) {
      state->share.Refund(assignment.charged);
    }
  }
  if (assignment.pulled) {
    pulled_bytes_ -= assignment.result.bytes();
  }
  return assignment;
}

void Dispatcher::Drop(uint64_t work) {
  const Assignment assignment = Remove(work);
  assignment.lane->OnTasks("stale", assignment.lane->Tasks(assignment.shard));
  if (Worker* worker = registry_.Find(assignment.worker); worker != nullptr) {
    v1::Instruction drop;
    drop.mutable_drop()->set_work_id(work);
    Send(*worker, drop);
  }
}

bool Dispatcher::OnResult(Worker& worker, const v1::ResultBegin& result, absl::Duration now) {
  const uint64_t work = result.work_id();
  Assignment* item = Find(worker, work);
  const bool known = item != nullptr && !item->begun;
  const absl::Status check = known ? item->lane->Check(item->shard, result) : absl::OkStatus();
  if (!known || !check.ok()) {
    if (result.announced() && result.bytes() > 0) {
      worker.link->Forget(result.transfer());
    }
    if (known) {
      Fail(work, check);
    }
    return false;
  }
  item->begun = true;
  --worker.busy;
  if (LaneState* state = StateOf(item->lane.get()); state != nullptr) {
    state->share.Settle(item->charged, result.compute_seconds(), item->lane->weight());
  }
  if (result.bytes() == 0) {
    Complete(work, result, FlatBuffer(), now);
    return false;
  }
  item->result = result;
  item->lane->board().Begun(work, now);
  worker.incoming[result.transfer()] = work;
  if (result.announced()) {
    announced_.push_back(work);
  }
  return !result.announced();
}

void Dispatcher::PullNext(absl::Duration now) {
  while (!announced_.empty()) {
    const uint64_t work = announced_.front();
    const auto it = items_.find(work);
    if (it != items_.end()) {
      Assignment& item = it->second;
      if (pulled_bytes_ > 0 && pulled_bytes_ + item.result.bytes() > kMostPulledBytes) {
        return;
      }
      item.pulled = true;
      item.lane->board().Waits(work, now);
      pulled_bytes_ += item.result.bytes();
      v1::Instruction pull;
      pull.mutable_pull()->set_work_id(work);
      Send(*registry_.Find(item.worker), pull);
    }
    announced_.pop_front();
  }
}

bool Dispatcher::WantsBuffer(Worker& worker, uint64_t work, uint64_t bytes) {
  Assignment* item = Find(worker, work);
  if (item == nullptr || !item->begun || item->buffer_started || item->result.bytes() != bytes ||
      item->result.announced() != item->pulled) {
    return false;
  }
  item->buffer_started = true;
  return true;
}

void Dispatcher::OnBuffer(Worker& worker, uint64_t transfer, FlatBuffer buffer,
                          absl::Duration now) {
  const auto it = worker.incoming.find(transfer);
  if (it == worker.incoming.end()) {
    return;
  }
  const uint64_t work = it->second;
  const v1::ResultBegin result = items_.at(work).result;
  Complete(work, result, std::move(buffer), now);
}

void Dispatcher::Complete(uint64_t work, const v1::ResultBegin& result, FlatBuffer buffer,
                          absl::Duration now) {
  const Assignment item = Remove(work);
  std::vector<uint64_t> drop;
  const bool counted = item.lane->board().Finished(work, now, &drop);
  for (uint64_t other : drop) {
    Drop(other);
  }
  item.lane->OnTasks(counted ? "counted" : "stale", item.lane->Tasks(item.shard));
  if (!counted) {
    return;
  }
  std::string fingerprint;
  if (Worker* worker = registry_.Find(item.worker); worker != nullptr) {
    worker->info.set_shards_done(worker->info.shards_done() + 1);
    fingerprint = worker->fingerprint;
  }
  item.lane->OnResult(item.shard, result, fingerprint, std::move(buffer));
}

v1::LogEntry Dispatcher::EntryOf(const Lane& lane, v1::LogSeverity severity) {
  v1::LogEntry entry;
  // Evaluations have wire ids of their own: "JOB@eval-N".
  const std::string& wire_id = lane.description().job_id();
  entry.set_job_id(wire_id.substr(0, wire_id.find('@')));
  entry.set_severity(severity);
  return entry;
}

v1::LogEntry Dispatcher::EntryOf(const Assignment& item, v1::LogSeverity severity) const {
  v1::LogEntry entry = EntryOf(*item.lane, severity);
  item.lane->Describe(item.shard, entry);
  if (const Worker* worker = registry_.Find(item.worker); worker != nullptr) {
    entry.set_source(worker->info.name());
  }
  return entry;
}

void Dispatcher::Fail(uint64_t work, const absl::Status& error) {
  const Assignment item = Remove(work);
  item.lane->OnTasks("failed", item.lane->Tasks(item.shard));
  const std::string name = item.lane->Name(item.shard);
  v1::LogEntry entry = EntryOf(item, v1::LOG_SEVERITY_WARNING);
  const ShardBoard::Verdict verdict = item.lane->board().Failed(work, error, name);
  if (verdict == ShardBoard::Verdict::kFail) {
    entry.set_severity(v1::LOG_SEVERITY_ERROR);
  }
  entry.set_message(absl::StrCat(
      name, " failed: ", error.message(),
      verdict == ShardBoard::Verdict::kFail ? "; it is not tried again" : "; it is tried again"));
  log_.Add(std::move(entry));
  AfterVerdict(verdict, item.lane);
}

void Dispatcher::AfterVerdict(ShardBoard::Verdict verdict, const std::shared_ptr<Lane>& lane) {
  if (verdict == ShardBoard::Verdict::kRetry) {
    lane->OnReissued();
  } else if (verdict == ShardBoard::Verdict::kFail) {
    lane->OnFailure(lane->board().failure());
  }
}

void Dispatcher::OnFailed(Worker& worker, const v1::WorkFailed& failed) {
  if (Find(worker, failed.work_id()) == nullptr) {
    return;
  }
  const auto code = static_cast<absl::StatusCode>(failed.code());
  const bool known = failed.code() > 0 && failed.code() <= 16;
  Fail(failed.work_id(), absl::Status(known ? code : absl::StatusCode::kUnknown,
                                      Shorten(failed.message(), kMostMessageBytes)));
}

void Dispatcher::OnReturned(Worker& worker, uint64_t work) {
  if (Find(worker, work) == nullptr) {
    return;
  }
  const Assignment item = Remove(work);
  AfterVerdict(item.lane->board().Returned(work), item.lane);
}

void Dispatcher::OnDeclined(Worker& worker, const v1::JobDeclined& declined) {
  const auto known = worker.jobs.find(declined.job_id());
  if (known == worker.jobs.end()) {
    return;
  }
  known->second.declined = declined.reason().empty()
                               ? "no reason given"
                               : std::string(Shorten(declined.reason(), kMostReasonBytes));
  v1::LogEntry entry;
  entry.set_job_id(declined.job_id().substr(0, declined.job_id().find('@')));
  entry.set_severity(v1::LOG_SEVERITY_WARNING);
  entry.set_source(worker.info.name());
  entry.set_message(absl::StrCat("declined the job: ", known->second.declined));
  log_.Add(std::move(entry));
  for (uint64_t work : std::vector<uint64_t>(worker.items.begin(), worker.items.end())) {
    if (items_.at(work).lane->description().job_id() == declined.job_id()) {
      OnReturned(worker, work);
    }
  }
}

void Dispatcher::LogLoss(const Worker& worker, absl::string_view why) {
  std::map<std::string, std::pair<uint64_t, size_t>> had;  // by job: a first item, and how many
  for (const uint64_t work : worker.items) {
    const std::string job_id = EntryOf(*items_.at(work).lane, v1::LOG_SEVERITY_WARNING).job_id();
    auto& [first, count] = had.try_emplace(job_id, work, 0).first->second;
    first = std::min(first, work);
    ++count;
  }
  for (const auto& [job_id, items] : had) {
    const auto& [first, count] = items;
    const Assignment& item = items_.at(first);
    v1::LogEntry entry = EntryOf(item, v1::LOG_SEVERITY_WARNING);
    entry.set_message(absl::StrCat(why, "; it had ", item.lane->Name(item.shard),
                                   count > 1 ? absl::StrCat(" and ", count - 1, " more") : "",
                                   ", to be given out again"));
    log_.Add(std::move(entry));
  }
}

void Dispatcher::OnGone(const std::string& worker_id, absl::string_view why, absl::Duration now) {
  Worker* worker = registry_.Find(worker_id);
  if (worker == nullptr) {
    return;
  }
  LogLoss(*worker, why);
  // Gets nothing new from what follows.
  const bool left = std::exchange(worker->draining, true);
  for (uint64_t work : std::vector<uint64_t>(worker->items.begin(), worker->items.end())) {
    // A lane that failed meanwhile took its items along.
    if (Find(*worker, work) == nullptr) {
      continue;
    }
    const Assignment item = Remove(work);
    // One whose result was there already did not kill its worker.
    AfterVerdict(item.begun ? item.lane->board().Returned(work)
                            : item.lane->board().Lost(work, item.lane->Name(item.shard)),
                 item.lane);
  }
  registry_.Remove(worker_id, left, now);
}

int Dispatcher::Tick(absl::Duration now) {
  int parted = 0;
  // Collected first: a lane that fails takes its items and itself away.
  std::vector<uint64_t> timed_out;
  for (const auto& state : lanes_) {
    state->lane->board().MarkSlow(now);
    for (uint64_t work : state->lane->board().TimedOut(now)) {
      timed_out.push_back(work);
    }
  }
  for (uint64_t work : timed_out) {
    const auto it = items_.find(work);
    if (it == items_.end() || (it->second.result.announced() && !it->second.pulled)) {
      continue;
    }
    const std::string worker_id = it->second.worker;
    const Assignment item = Remove(work);
    const std::string name = item.lane->Name(item.shard);
    Worker& worker = *registry_.Find(worker_id);
    v1::LogEntry entry = EntryOf(item, v1::LOG_SEVERITY_WARNING);
    entry.set_message(absl::StrCat(
        name,
        " took longer than limits.shard_timeout_seconds: the worker hangs, and is parted with"));
    log_.Add(std::move(entry));
    worker.link->Close(absl::DeadlineExceededError(
        absl::StrCat(name, " took longer than limits.shard_timeout_seconds")));
    worker.draining = true;
    // Which of its items hangs is known: the others are blameless.
    for (uint64_t other : std::vector<uint64_t>(worker.items.begin(), worker.items.end())) {
      OnReturned(worker, other);
    }
    registry_.Remove(worker_id, /*left=*/false, now);
    ++parted;
    AfterVerdict(item.lane->board().Lost(work, name), item.lane);
  }
  return parted;
}

}  // namespace innerloop::server
