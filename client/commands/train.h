// `innerloop train`: a whole cluster for one job, on this machine.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/commands/words.h"
#include "client/session.h"

namespace innerloop::client {

struct TrainOptions {
  std::string job;
  // "path=value" for fields of the job.
  std::vector<std::string> set;
  // "NAME=FILE" for data sets.
  std::vector<std::string> data;
  Words words;
  // "1..5", "1,4,7": the job once for each; empty: the job as it is, with its own seed.
  std::string seeds;
  // Worker processes; 0: one for each core.
  int workers = 0;
  // Compute threads of each worker.
  int slots = 1;
  // Where the run is kept. Empty: innerloop-runs/JOB-DATE-TIME, a new one.
  std::string state_dir;
  // SHA-256 of models that the job may bring. A job file may come from somebody else: what it names
  // is not yet allowed.
  std::vector<std::string> allow_models;
  std::string metrics_listen = "127.0.0.1:0";
  // Where TensorBoard's event files go; empty: none are written.
  std::string tensorboard_dir;
};

// Starts a job in the state folder, or goes on with the one that is there when at most the number
// of iterations differs, and shows its result. With seeds: such a job for each of them, all at
// once, and what they come to together.
absl::Status Train(const TrainOptions& options, Session& session);

// Cores that this process may use.
int CoreCount();

}  // namespace innerloop::client
