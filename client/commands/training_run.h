// What `train` does between its cluster's start and its stop: one job, or one for each seed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/commands/run_folder.h"
#include "client/local/local_cluster.h"
#include "client/render/live_line.h"
#include "client/session.h"

namespace innerloop::client {

// All outlive the run.
struct RunSurroundings {
  const PreparedJob& prepared;
  const std::string& state_dir;
  Session& session;
  LocalCluster& cluster;
  LiveLine& live;
};

// One thread only.
class TrainingRun {
 public:
  virtual ~TrainingRun() = default;
  // Submits what is missing, goes on with what is there, starts workers if there is work, and
  // follows it to the end.
  virtual absl::Status ToEnd() = 0;
  // Whether the folder holds a job of this run.
  virtual bool began() const = 0;
  // How far it came, over all its jobs.
  virtual uint64_t iteration() const = 0;
  // When ToEnd was OK: the result goes to the output; what the command makes of it.
  virtual absl::Status Show() const = 0;
};

std::unique_ptr<TrainingRun> RunOfOneJob(const RunSurroundings& surroundings);
// All seeds at once, so that one's work fills the gaps between another's iterations.
std::unique_ptr<TrainingRun> RunOfSeeds(const RunSurroundings& surroundings,
                                        std::vector<uint64_t> seeds);

// Every periodic evaluation of an ended job, also those of earlier runs.
absl::StatusOr<std::vector<v1::Evaluation>> PeriodicEvaluations(TrainingClient& client,
                                                                const v1::Job& job);
// ", metrics at http://127.0.0.1:9000/metrics", if there are any.
std::string MetricsText(const LocalCluster& cluster);

}  // namespace innerloop::client
