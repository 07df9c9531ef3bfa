// Commands about jobs and workers of a running coordinator.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

struct SubmitOptions {
  std::string job;
  std::vector<std::string> set;
  std::vector<std::string> data;
  bool watch = false;
};

// Uploads the job's data set where the coordinator lacks it, then submits.
absl::Status SubmitJob(const SubmitOptions& options, Session& session);
absl::Status ListJobs(Session& session);
absl::Status ShowJob(const std::string& id, Session& session);
// With --format=json a line for each event: {"iteration": ...}, {"evaluation": ...}, and at the end
// {"job": ...}.
absl::Status WatchJob(const std::string& id, uint64_t from_iteration, Session& session);
absl::Status CancelJob(const std::string& id, Session& session);
absl::Status PauseJob(const std::string& id, Session& session);
absl::Status ResumeJob(const std::string& id, Session& session);
absl::Status DeleteJob(const std::string& id, Session& session);
absl::Status ListWorkers(Session& session);

}  // namespace innerloop::client
