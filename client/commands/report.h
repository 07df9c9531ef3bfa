// `innerloop report`: curves, evaluations and specifications of jobs on one page.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/session.h"

namespace innerloop::client {

struct ReportOptions {
  // Each a job on the coordinator, a state folder of `train` (all its jobs), or a file that
  // `report --format=json` wrote.
  std::vector<std::string> sources;
  // Where the page goes, or with --format=json the data. Empty: innerloop-report.html, or standard
  // output.
  std::string out;
};

// INVALID_ARGUMENT for a job without history.
absl::Status Report(const ReportOptions& options, Session& session);

}  // namespace innerloop::client
