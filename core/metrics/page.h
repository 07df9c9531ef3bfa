#pragma once

#include <string>
#include <vector>

#include "core/metrics/definition.h"

namespace innerloop::metrics {

// What the coordinator's and a worker's pages may show.
std::vector<const Definition*> CoordinatorDefinitions();
std::vector<const Definition*> WorkerDefinitions();

// deploy/METRICS.md: a page for people that lists all of them.
std::string DescribeMetrics();

}  // namespace innerloop::metrics
