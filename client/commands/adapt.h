// `innerloop adapt`: a meta-trained model on a task of the user's own.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/session.h"
#include "innerloop/v1/adaptation.pb.h"

namespace innerloop::client {

struct AdaptOptions {
  // "JOB", "JOB@ITERATION" or "JOB@best" on the coordinator, or a checkpoint file, for which a
  // cluster of this machine is started.
  std::string target;
  std::string support;
  std::vector<std::string> queries;
  // Of tables whose rows are of several groups, the one to adapt to; empty: all rows.
  std::string group;
  // What is left out is as the job's final evaluation has it.
  v1::AdaptationRule rule;
  // File of the adapted model, by its ending: .safetensors or .pt (TorchScript). Empty: none.
  std::string out;
  // Predictions as comma-separated values.
  bool csv = false;
  // For a checkpoint file: the TorchScript model that its job brought.
  std::string model;
};

// Shows predictions with probabilities, and writes the adapted model.
absl::Status Adapt(const AdaptOptions& options, Session& session);

}  // namespace innerloop::client
