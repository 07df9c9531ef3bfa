// Which engine computes a job.
#pragma once

#include <string>

#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Why ENGINE_FUSED cannot compute the resolved job, e.g. "model.conv4" for "it does not know
// model.conv4"; empty when it can. Any widths: which are worth it is the resolver's choice.
std::string WhyNotFused(const v1::JobSpec& resolved);

}  // namespace innerloop
