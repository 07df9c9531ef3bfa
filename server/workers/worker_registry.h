// The workers that are connected, and what each has and does.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "innerloop/v1/training.pb.h"
#include "innerloop/v1/work.pb.h"
#include "server/workers/worker_link.h"

namespace innerloop::server {

// What a worker knows of one lane (by its wire id).
struct KnownJob {
  bool described = false;
  // Versions of the parameters that it holds.
  std::set<uint64_t> versions;
  // Why it takes no part; empty when it does.
  std::string declined;
};

// One stream's worker.
struct Worker {
  std::string id;
  std::shared_ptr<WorkerLink> link;
  v1::WorkerInfo info;
  std::string fingerprint;
  int slots = 0;
  // Items given out whose results have not begun to come.
  int busy = 0;
  bool draining = false;
  absl::Duration last_heard;
  // What it sent and is still being dealt with, by the thread that would hear it: it is not silent.
  int calls = 0;
  std::map<std::string, KnownJob> jobs;
  // Items given out that are neither answered nor dropped.
  absl::flat_hash_set<uint64_t> items;
  // Work items by the transfers that their results come in.
  absl::flat_hash_map<uint64_t, uint64_t> incoming;
  uint64_t next_transfer = 1;
  // Files on their way to it, by hash.
  absl::flat_hash_map<std::string, v1::FileFetch> fetches;
  // Something was queued on its link since the last Flush.
  bool touched = false;

  bool CanTake() const { return !draining && busy < slots; }
};

// Used under the coordinator's lock. Thread-compatible; does no I/O.
class WorkerRegistry {
 public:
  Worker& Add(const v1::Hello& hello, std::shared_ptr<WorkerLink> link, absl::Duration now,
              absl::Time wall);
  // Null when there is none (any more).
  Worker* Find(const std::string& id);
  // Removes it. It is listed as lost for ten minutes, unless it had said that it leaves.
  void Remove(const std::string& id, bool left, absl::Duration now);

  std::map<std::string, Worker>& workers() { return workers_; }
  const std::map<std::string, Worker>& workers() const { return workers_; }
  // Those that were silent for longer than `timeout`.
  std::vector<std::string> Silent(absl::Duration now, absl::Duration timeout) const;
  // Forgets those lost longer than ten minutes ago.
  void Expire(absl::Duration now);
  std::vector<v1::WorkerInfo> List() const;
  int lost() const { return static_cast<int>(lost_.size()); }

  // Why a lane bound to `fingerprint` (empty: to none) gets no work done; empty when a worker may
  // do it.
  std::string WhyNone(const std::string& wire_id, const std::string& fingerprint) const;

 private:
  struct Lost {
    v1::WorkerInfo info;
    absl::Duration at;
  };
  // By id, in the order of connection.
  std::map<std::string, Worker> workers_;
  std::deque<Lost> lost_;
  uint64_t next_id_ = 1;
};

}  // namespace innerloop::server
