// `innerloop evaluate`: a checkpoint's error or accuracy after each inner step.
#pragma once

#include <cstdint>
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
  // Each combination of these is a protocol of its own. Empty: as `protocol` has it.
  std::vector<uint32_t> ways;
  std::vector<uint32_t> shots;
  std::vector<v1::Transduction> transductions;
  // For a file.
  std::vector<std::string> data;
  std::string model;
  // 0: one for each core.
  int workers = 0;
};

// Shows one evaluation, or with several protocols one after the other; as JSON a list then. All
// protocols are checked before the first is measured.
absl::Status Evaluate(const EvaluateOptions& options, Session& session);

// The product of the options' lists, the first list slowest; values that are there twice count
// once.
std::vector<v1::EvaluationProtocol> ProtocolsOf(const EvaluateOptions& options);

// Whether the argument means a file rather than a job: it exists, or is spelled like a path.
bool NamesFile(const std::string& target);

}  // namespace innerloop::client
