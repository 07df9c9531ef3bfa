// What people say about jobs: names, labels, notes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/session.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::client {

// What flags say beside a job file; what they do not say stays as the file has it.
struct Words {
  std::string name;
  // "KEY=VALUE", or "KEY-" to take one away.
  std::vector<std::string> labels;
  std::optional<std::string> note;
};
// INVALID_ARGUMENT for a label of another form, and as CheckWords has it.
absl::Status ApplyWords(const Words& words, v1::JobSpec& spec);

// Whether the labels are all among the spec's: "KEY=VALUE", or "KEY" for any value.
bool HasLabels(const v1::JobSpec& spec, const std::vector<std::string>& labels);

// Changes those of a job, in whatever state it is.
absl::Status ChangeWords(const std::string& job, const Words& words, Session& session);

}  // namespace innerloop::client
