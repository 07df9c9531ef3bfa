// What is allowed in a job, and seldom meant.
#pragma once

#include <string>
#include <vector>

#include "core/dataset/dataset.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// One line each, for the user of a resolved job that passed all checks; none for most. `dataset` is
// null for generated tasks, and where it is not at hand.
std::vector<std::string> DoubtsAbout(const v1::JobSpec& resolved, const Dataset* dataset);

}  // namespace innerloop
