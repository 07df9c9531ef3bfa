// What of the state folder nobody needs any more.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "innerloop/v1/training.pb.h"
#include "innerloop/v1/upkeep.pb.h"
#include "server/storage/checkpoint_store.h"
#include "server/storage/data_set_store.h"

namespace innerloop::server {

// One collection: finds what a request lets go, then lets it go. Made by the Coordinator, while no
// job can begin. One thread only; blocks on files.
class Garbage {
 public:
  // What has to be known of jobs.
  struct Jobs {
    std::vector<v1::Job> ended;
    // Of those that have not ended, and of checkpoints that are being evaluated.
    std::vector<v1::JobSpec> under_way;
    // Checkpoints that are being evaluated, or that jobs are yet to begin from: job and iteration.
    std::set<std::pair<std::string, uint64_t>> pinned;
  };
  // `now` is the wall's time.
  Garbage(CheckpointStore& checkpoints, DataSetStore& data_sets, Jobs jobs, absl::Time now)
      : checkpoints_(checkpoints), data_sets_(data_sets), jobs_(std::move(jobs)), now_(now) {}

  // What would go, in an order in which it can. `delete_job` removes an ended job.
  absl::Status Find(const v1::CollectGarbageRequest& request,
                    const std::function<absl::Status(const std::string& id)>& delete_job);
  absl::Status Remove() const;
  v1::CollectGarbageResponse response() const;

 private:
  struct Found {
    v1::CollectGarbageResponse::Item item;
    std::function<absl::Status()> remove;
  };

  void FindJobs(absl::Duration age,
                const std::function<absl::Status(const std::string& id)>& delete_job);
  absl::Status FindCheckpoints();
  absl::Status FindDataSets();
  // Files that no job needs, and uploads that were broken off. `names` of a file, for people.
  absl::Status FindFiles(UploadFolder& folder, const std::string& kind,
                         const std::set<std::string>& needed,
                         const std::function<std::string(const std::string& sha256)>& names,
                         const std::function<absl::Status(const std::string& sha256)>& remove);
  void Add(const std::string& kind, const std::string& name, uint64_t bytes, std::string why,
           std::function<absl::Status()> remove);
  bool Goes(const v1::Job& job) const { return going_.count(job.id()) != 0; }

  CheckpointStore& checkpoints_;
  DataSetStore& data_sets_;
  const Jobs jobs_;
  const absl::Time now_;
  std::set<std::string> going_;
  std::vector<Found> found_;
};

}  // namespace innerloop::server
