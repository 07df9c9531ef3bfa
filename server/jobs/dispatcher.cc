#include "server/jobs/dispatcher.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace innerloop::server {
namespace {

// What a worker may make the coordinator remember.
constexpr size_t kMostFetches = 100;

double Load(const Worker& worker) {
  return static_cast<double>(worker.busy) / static_cast<double>(worker.slots);
}

bool Holds(const Worker& worker, const Lane& lane) {
  const auto known = worker.jobs.find(lane.description().job_id());
  return known != worker.jobs.end() && lane.parameters() != nullptr &&
         known->second.versions.count(lane.parameters()->version) > 0;
}

// The file that a worker fetches and a lane's items need; null when there is none.
const v1::FileFetch* FetchOf(const Worker& worker, const Lane& lane) {
  const v1::JobDescription& job = lane.description();
  for (const std::string& sha256 :
       {job.data_set().sha256(), job.spec().model().torchscript().sha256()}) {
    if (const auto it = worker.fetches.find(sha256); it != worker.fetches.end()) {
      return &it->second;
    }
  }
  return nullptr;
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
  ReleaseIfUnused(kept->description().job_id());
}

void Dispatcher::LetGo(const std::string& wire_id) {
  kept_.erase(wire_id);
  ReleaseIfUnused(wire_id);
}

void Dispatcher::ReleaseIfUnused(const std::string& wire_id) {
  if (kept_.contains(wire_id)) {
    return;
  }
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
  PullNext(now);
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
  if (lane.board().copies(*shard) > 0) {
    v1::LogEntry entry = EntryOf(assignment, v1::LOG_SEVERITY_INFO);
    entry.set_message(
        absl::StrCat(lane.Name(*shard), " is slow elsewhere; this worker computes it, too"));
    log_.AddRarely(std::move(entry));
  }
  lane.board().Started(work, *shard, worker.id, now);
  lane.OnInFlight(1);
  return true;
}

void Dispatcher::SendParameters(Worker& worker, KnownJob& known, const Lane& lane) {
  const Parameters* parameters = lane.parameters();
  if (parameters == nullptr || known.versions.count(parameters->version) > 0) {
    return;
  }
  // Lanes that share a wire id, adaptations, share their version.
  const uint64_t needed = parameters->version;
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

void Dispatcher::OnFetches(Worker& worker, const v1::Heartbeat& heartbeat, absl::Duration now) {
  absl::flat_hash_map<std::string, v1::FileFetch> fetches;
  for (const v1::FileFetch& fetch : heartbeat.fetches()) {
    if (fetches.size() < kMostFetches && !fetch.sha256().empty()) {
      fetches[fetch.sha256()] = fetch;
    }
  }
  std::swap(worker.fetches, fetches);
  for (const uint64_t work : worker.items) {
    Lane& lane = *items_.at(work).lane;
    const v1::FileFetch* fetch = FetchOf(worker, lane);
    if (fetch == nullptr) {
      continue;
    }
    const auto before = fetches.find(fetch->sha256());
    if (before == fetches.end() || before->second.bytes() < fetch->bytes()) {
      lane.board().Waits(work, now);
    }
  }
}

std::string Dispatcher::FetchingFor(const Lane& lane) const {
  const v1::FileFetch* furthest = nullptr;
  std::set<std::string> workers;
  for (const uint64_t work : lane.board().InFlight()) {
    const Worker& worker = *registry_.Find(items_.at(work).worker);
    const v1::FileFetch* fetch = FetchOf(worker, lane);
    if (fetch == nullptr) {
      return "";
    }
    workers.insert(worker.info.name());
    if (furthest == nullptr || furthest->bytes() < fetch->bytes()) {
      furthest = fetch;
    }
  }
  if (furthest == nullptr) {
    return "";
  }
  const v1::DataSetDescription& data_set = lane.description().data_set();
  const double share = static_cast<double>(furthest->bytes()) /
                       static_cast<double>(std::max<uint64_t>(furthest->total_bytes(), 1));
  // In tens, so that it is news when it changes.
  const int percent = 10 * static_cast<int>(10 * std::clamp(share, 0.0, 1.0));
  return absl::StrCat(workers.size() == 1 ? absl::StrCat("worker '", *workers.begin(), "' fetches ")
                                          : absl::StrCat(workers.size(), " workers fetch "),
                      furthest->sha256() == data_set.sha256()
                          ? absl::StrCat("data set '", data_set.name(), "'")
                          : "the job's model",
                      ", ", percent, " % are there");
}

}  // namespace innerloop::server
