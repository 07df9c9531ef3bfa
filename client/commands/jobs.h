// Commands about jobs and workers of a running coordinator.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/commands/words.h"
#include "client/session.h"

namespace innerloop::client {

struct SubmitOptions {
  std::string job;
  std::vector<std::string> set;
  std::vector<std::string> data;
  Words words;
  bool watch = false;
};

// Uploads the job's data set where the coordinator lacks it, then submits.
absl::Status SubmitJob(const SubmitOptions& options, Session& session);
// Those with all these labels: "KEY=VALUE", or "KEY" for any value.
absl::Status ListJobs(const std::vector<std::string>& labels, Session& session);
// `spec_alone`: as a job file, which submitted again makes the same job once more.
absl::Status ShowJob(const std::string& id, bool spec_alone, Session& session);
// With --format=json a line for each event: {"iteration": ...}, {"evaluation": ...}, and at the end
// {"job": ...}.
absl::Status WatchJob(const std::string& id, uint64_t from_iteration, Session& session);
// Says so of a job that had ended before, which is no error.
absl::Status CancelJob(const std::string& id, Session& session);
absl::Status PauseJob(const std::string& id, Session& session);
absl::Status ResumeJob(const std::string& id, Session& session);
absl::Status DeleteJob(const std::string& id, Session& session);
absl::Status ListWorkers(Session& session);

}  // namespace innerloop::client
