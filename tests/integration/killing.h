// Training runs that lose a process on the way.
#pragma once

#include <string>
#include <vector>

namespace innerloop::integration {

// Trains a job (JobPath) with two workers, kills one child of the run, `victim`, with SIGKILL once
// a checkpoint must be there, and returns the SHA-256 of the parameters that it ends with. Fails
// the test when the run ended before, or did not start the child again.
std::string Sha256AfterKilling(const std::string& victim, const std::string& job,
                               const std::vector<std::string>& settings);

}  // namespace innerloop::integration
