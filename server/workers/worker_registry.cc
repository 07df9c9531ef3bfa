#include "server/workers/worker_registry.h"

#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/workers/fingerprint.h"

namespace innerloop::server {
namespace {

constexpr absl::Duration kListedAsLost = absl::Minutes(10);
// A crowd of workers that come and go must not fill the memory.
constexpr size_t kMostLost = 1000;

}  // namespace

Worker& WorkerRegistry::Add(const v1::Hello& hello, std::shared_ptr<WorkerLink> link,
                            absl::Duration now, absl::Time wall) {
  const std::string id = absl::StrFormat("w%06d", next_id_++);
  Worker& worker = workers_[id];
  worker.id = id;
  worker.link = std::move(link);
  worker.fingerprint = Canonical(hello.fingerprint());
  worker.slots = static_cast<int>(hello.slots());
  worker.last_heard = now;
  worker.info.set_id(id);
  worker.info.set_name(hello.name());
  worker.info.set_slots(hello.slots());
  worker.info.set_fingerprint(worker.fingerprint);
  worker.info.set_version(hello.version());
  worker.info.set_metrics_address(hello.metrics_address());
  *worker.info.mutable_connected() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(wall));
  return worker;
}

Worker* WorkerRegistry::Find(const std::string& id) {
  const auto it = workers_.find(id);
  return it == workers_.end() ? nullptr : &it->second;
}

void WorkerRegistry::Remove(const std::string& id, bool left, absl::Duration now) {
  const auto it = workers_.find(id);
  if (it == workers_.end()) {
    return;
  }
  if (!left) {
    lost_.push_back({std::move(it->second.info), now});
    lost_.back().info.set_state(v1::WorkerInfo::STATE_LOST);
  }
  workers_.erase(it);
  if (lost_.size() > kMostLost) {
    lost_.pop_front();
  }
}

std::vector<std::string> WorkerRegistry::Silent(absl::Duration now, absl::Duration timeout) const {
  std::vector<std::string> result;
  for (const auto& [id, worker] : workers_) {
    if (worker.calls == 0 && now - worker.last_heard > timeout) {
      result.push_back(id);
    }
  }
  return result;
}

void WorkerRegistry::Expire(absl::Duration now) {
  while (!lost_.empty() && now - lost_.front().at > kListedAsLost) {
    lost_.pop_front();
  }
}

std::vector<v1::WorkerInfo> WorkerRegistry::List() const {
  std::vector<v1::WorkerInfo> result;
  for (const auto& [id, worker] : workers_) {
    v1::WorkerInfo info = worker.info;
    info.set_busy_slots(static_cast<uint32_t>(worker.busy));
    info.set_state(worker.draining ? v1::WorkerInfo::STATE_DRAINING
                                   : v1::WorkerInfo::STATE_CONNECTED);
    result.push_back(std::move(info));
  }
  for (const Lost& lost : lost_) {
    result.push_back(lost.info);
  }
  return result;
}

std::string WorkerRegistry::WhyNone(const std::string& wire_id,
                                    const std::string& fingerprint) const {
  if (workers_.empty()) {
    return "no workers are connected";
  }
  size_t of_kind = 0;
  size_t draining = 0;
  std::string declined;
  std::string other;
  for (const auto& [id, worker] : workers_) {
    if (!fingerprint.empty() && worker.fingerprint != fingerprint) {
      other = absl::StrCat("worker '", worker.info.name(), "' has ",
                           Difference(fingerprint, worker.fingerprint));
      continue;
    }
    ++of_kind;
    if (worker.draining) {
      ++draining;
      continue;
    }
    const auto known = worker.jobs.find(wire_id);
    if (known == worker.jobs.end() || known->second.declined.empty()) {
      return "";
    }
    declined = absl::StrCat("worker '", worker.info.name(), "': ", known->second.declined);
  }
  if (of_kind == 0) {
    return absl::StrCat("waits for a worker with fingerprint ", fingerprint, "; the ",
                        workers_.size(), " connected have others: ", other);
  }
  if (declined.empty()) {
    return absl::StrCat("all ", draining, " suitable workers are leaving");
  }
  return absl::StrCat("every suitable worker declined the job; ", declined);
}

}  // namespace innerloop::server
