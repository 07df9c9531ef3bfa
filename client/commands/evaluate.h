// `innerloop evaluate`: a checkpoint's error or accuracy after each inner step.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/session.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::client {

struct EvaluateOptions {
  // "JOB", "JOB@ITERATION" or "JOB@best" on the coordinator, or a checkpoint file, for which a
  // cluster of this machine is started.
  std::string target;
  // What is left out comes from the job's final protocol.
  v1::EvaluationProtocol protocol;
  // For a file.
  std::vector<std::string> data;
  // 0: one for each core.
  int workers = 0;
};

absl::Status Evaluate(const EvaluateOptions& options, Session& session);

// Whether the argument means a file rather than a job: it exists, or is spelled like a path.
bool NamesFile(const std::string& target);

}  // namespace innerloop::client
