// What it means for a job that is there that its specification becomes another.
#pragma once

#include <cstdint>
#include <string>

#include "innerloop/v1/job.pb.h"

namespace innerloop::server {

// What differs, for people.
std::string Changes(const v1::JobSpec& before, const v1::JobSpec& after);

// What people should know before they compare the job's parameters with those of one that was
// submitted as it is after; empty when there is nothing. `done`: iterations that it has done.
std::string DoubtOf(const v1::JobSpec& before, uint64_t done, const v1::JobSpec& after);

}  // namespace innerloop::server
