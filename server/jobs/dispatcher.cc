#include "server/jobs/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

// Announced results that travel at the same time, unless a single one is larger.
constexpr uint64_t kMostPulledBytes = uint64_t{512} << 20;

double Load(const Worker& worker) {
  return static_cast<double>(worker.busy) / static_cast<double>(worker.slots);
}

bool Holds(const Worker& worker, const Lane& lane) {
  const auto known = worker.jobs.find(lane.description().job_id());
  return known != worker.jobs.end() && lane.parameters() != nullptr &&
         known->second.versions.count(lane.parameters()->version) > 0;
}

}  // namespace

void Dispatcher::AddLane(std::shared_ptr<Lane> lane) {
  auto state = std::make_unique<LaneState>();
  state->lane = std::move(lane);
  lanes_.push_back(std::move(state));
}

Dispatcher::LaneState* Dispatcher::StateOf(const Lane* lane) {
  for (const auto& state : lanes_) {
    if (state->lane.get() == lane) {
      return state.get();
    }
  }
  return nullptr;
}

void Dispatcher::RemoveLane(const Lane* lane) {
  LaneState* state = StateOf(lane);
  if (state == nullptr) {
    return;
  }
  const std::shared_ptr<Lane> kept = state->lane;
  DropItems(lane);
  lanes_.erase(std::find_if(lanes_.begin(), lanes_.end(),
                            [&](const auto& other) { return other.get() == state; }));
  const std::string& wire_id = kept->description().job_id();
  for (const auto& other : lanes_) {
    if (other->lane->description().job_id() == wire_id) {
      return;
    }
  }
  v1::Instruction release;
  release.mutable_release_job()->set_job_id(wire_id);
  for (auto& [id, worker] : registry_.workers()) {
    if (worker.jobs.erase(wire_id) > 0) {
      Send(worker, release);
    }
  }
}

void Dispatcher::DropItems(const Lane* lane) {
  std::vector<uint64_t> items;
  for (const auto& [work, item] : items_) {
    if (item.lane.get() == lane) {
      items.push_back(work);
    }
  }
  for (uint64_t work : items) {
    Drop(work);
  }
}

bool Dispatcher::Suits(const Worker& worker, const Lane& lane) {
  if (worker.draining ||
      (!lane.fingerprint().empty() && worker.fingerprint != lane.fingerprint())) {
    return false;
  }
  const auto known = worker.jobs.find(lane.description().job_id());
  return known == worker.jobs.end() || known->second.declined.empty();
}

void Dispatcher::Dispatch(absl::Duration now) {
  const auto any_free = [&] {
    return std::any_of(registry_.workers().begin(), registry_.workers().end(),
                       [](const auto& entry) { return entry.second.CanTake(); });
  };
  for (const auto& state : lanes_) {
    state->blocked = false;
  }
  while (any_free()) {
    LaneState* next = nullptr;
    for (const auto& state : lanes_) {
      if (!state->blocked && state->lane->board().HasPending() &&
          (next == nullptr || state->share.Position(position_) < next->share.Position(position_))) {
        next = state.get();
      }
    }
    if (next == nullptr) {
      return;
    }
    next->blocked = !GiveOne(*next, now);
  }
}

bool Dispatcher::GiveOne(LaneState& state, absl::Duration now) {
  // The least busy worker first; among equals one that has the parameters.
  const auto before = [&](const Worker& a, const Worker& b) {
    const double load_a = Load(a);
    const double load_b = Load(b);
    return load_a != load_b ? load_a < load_b : Holds(a, *state.lane) && !Holds(b, *state.lane);
  };
  Worker* best = nullptr;
  for (auto& [id, worker] : registry_.workers()) {
    if (worker.CanTake() && Suits(worker, *state.lane) &&
        (best == nullptr || before(worker, *best))) {
      best = &worker;
    }
  }
  if (best == nullptr) {
    return false;
  }
  if (GiveTo(*best, state, now)) {
    return true;
  }
  // What is pending does not suit the best one (it failed there, or its copy runs there): any
  // other.
  for (auto& [id, worker] : registry_.workers()) {
    if (&worker != best && worker.CanTake() && Suits(worker, *state.lane) &&
        GiveTo(worker, state, now)) {
      return true;
    }
  }
  return false;
}

bool Dispatcher::GiveTo(Worker& worker, LaneState& state, absl::Duration now) {
  Lane& lane = *state.lane;
  const auto others_can = [&](const std::set<std::string>& failed_on) {
    return std::any_of(registry_.workers().begin(), registry_.workers().end(),
                       [&](const auto& other) {
                         return failed_on.count(other.first) == 0 && Suits(other.second, lane);
                       });
  };
  const std::optional<size_t> shard = lane.board().Pick(worker.id, others_can);
  if (!shard.has_value()) {
    return false;
  }
  KnownJob& known = worker.jobs[lane.description().job_id()];
  v1::Instruction instruction;
  if (!known.described) {
    known.described = true;
    *instruction.mutable_job() = lane.description();
    Send(worker, instruction);
  }
  SendParameters(worker, known, lane);
  const uint64_t work = next_work_++;
  v1::WorkItem& item = *instruction.mutable_work();
  item.set_id(work);
  item.set_job_id(lane.description().job_id());
  lane.FillItem(*shard, item);
  Send(worker, instruction);

  Assignment& assignment = items_[work];
  assignment.lane = state.lane;
  assignment.shard = *shard;
  assignment.worker = worker.id;
  position_ = std::max(position_, state.share.Position(position_));
  assignment.charged = state.share.Charge(position_, lane.weight());
  worker.items.insert(work);
  ++worker.busy;
  lane.board().Started(work, *shard, worker.id, now);
  lane.OnInFlight(1);
  return true;
}

void Dispatcher::SendParameters(Worker& worker, KnownJob& known, const Lane& lane) {
  const Parameters* parameters = lane.parameters();
  if (parameters == nullptr || known.versions.count(parameters->version) > 0) {
    return;
  }
  // Evaluations of several versions share a wire id.
  uint64_t needed = parameters->version;
  for (const auto& state : lanes_) {
    if (state->lane->description().job_id() == lane.description().job_id() &&
        state->lane->parameters() != nullptr) {
      needed = std::min(needed, state->lane->parameters()->version);
    }
  }
  v1::Instruction instruction;
  if (!known.versions.empty() && *known.versions.begin() < needed) {
    known.versions.erase(known.versions.begin(), known.versions.lower_bound(needed));
    v1::ReleaseVersions& release = *instruction.mutable_release();
    release.set_job_id(lane.description().job_id());
    release.set_below_version(needed);
    Send(worker, instruction);
  }
  v1::ParametersBegin& begin = *instruction.mutable_parameters();
  begin.set_job_id(lane.description().job_id());
  begin.set_version(parameters->version);
  begin.set_bytes(parameters->encoded->bytes());
  begin.set_transfer(worker.next_transfer++);
  Send(worker, instruction);
  worker.link->SendBuffer(parameters->encoded, begin.transfer());
  known.versions.insert(parameters->version);
}

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
  if (item == nullptr || item->begun) {
    return false;
  }
  if (const absl::Status check = item->lane->Check(item->shard, result); !check.ok()) {
    Fail(work, check);
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
  worker.incoming[result.transfer()] = work;
  if (result.announced()) {
    announced_.push_back(work);
    PullNext();
  }
  return !result.announced();
}

void Dispatcher::PullNext() {
  while (!announced_.empty()) {
    const uint64_t work = announced_.front();
    const auto it = items_.find(work);
    if (it != items_.end()) {
      Assignment& item = it->second;
      if (pulled_bytes_ > 0 && pulled_bytes_ + item.result.bytes() > kMostPulledBytes) {
        return;
      }
      item.pulled = true;
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
  PullNext();
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

void Dispatcher::Fail(uint64_t work, const absl::Status& error) {
  const Assignment item = Remove(work);
  item.lane->OnTasks("failed", item.lane->Tasks(item.shard));
  const std::string name = item.lane->Name(item.shard);
  spdlog::warn("job {}: {} failed on worker {}: {}", item.lane->description().job_id(), name,
               item.worker, std::string(error.message()));
  AfterVerdict(item.lane->board().Failed(work, error, name), item.lane);
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
  Fail(failed.work_id(), absl::Status(known ? code : absl::StatusCode::kUnknown, failed.message()));
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
  spdlog::warn("worker {} declined job {}: {}", worker.id, declined.job_id(), declined.reason());
  known->second.declined = declined.reason().empty() ? "no reason given" : declined.reason();
  for (uint64_t work : std::vector<uint64_t>(worker.items.begin(), worker.items.end())) {
    if (items_.at(work).lane->description().job_id() == declined.job_id()) {
      OnReturned(worker, work);
    }
  }
}

void Dispatcher::OnGone(const std::string& worker_id, absl::Duration now) {
  Worker* worker = registry_.Find(worker_id);
  if (worker == nullptr) {
    return;
  }
  worker->draining = true;  // gets nothing new from what follows
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
  registry_.Remove(worker_id, now);
  PullNext();
}

void Dispatcher::Tick(absl::Duration now) {
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
    spdlog::warn("worker {} hangs: {} took longer than a shard may", worker_id, name);
    worker.link->Close(absl::DeadlineExceededError(
        absl::StrCat(name, " took longer than limits.shard_timeout_seconds")));
    worker.draining = true;
    // Which of its items hangs is known: the others are blameless.
    for (uint64_t other : std::vector<uint64_t>(worker.items.begin(), worker.items.end())) {
      OnReturned(worker, other);
    }
    registry_.Remove(worker_id, now);
    AfterVerdict(item.lane->board().Lost(work, name), item.lane);
  }
}

void Dispatcher::Send(Worker& worker, const v1::Instruction& instruction) {
  worker.link->Send(instruction);
  if (!worker.touched) {
    worker.touched = true;
    touched_.push_back(worker.link);
  }
}

std::vector<std::shared_ptr<WorkerLink>> Dispatcher::TakeTouched() {
  if (touched_.empty()) {
    return {};
  }
  for (auto& [id, worker] : registry_.workers()) {
    worker.touched = false;
  }
  return std::exchange(touched_, {});
}

std::string Dispatcher::WaitingFor(const Lane& lane) const {
  if (!lane.board().HasPending() || lane.board().in_flight() > 0) {
    return "";
  }
  return registry_.WhyNone(lane.description().job_id(), lane.fingerprint());
}

}  // namespace innerloop::server
