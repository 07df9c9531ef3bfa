// Training runs that lose a process on the way.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/process.h"

namespace innerloop::integration {

// Reads what a plain training run in `folder` says until a checkpoint is there, told of progress at
// least once. False, and a failure of the test, when the run ended before.
bool AwaitCheckpoint(Process& run, const std::string& folder);

// Fails the test unless the last coordinator of a training run in `folder` went on with its job
// from a checkpoint, instead of beginning again.
void ExpectWentOn(const std::string& folder);

// Trains a job (JobPath) with two workers, kills one child of the run, `victim`, with SIGKILL once
// a checkpoint is there, and returns the SHA-256 of the parameters that it ends with. Fails the
// test when the run ended before, did not start the child again, or began the job again.
std::string Sha256AfterKilling(const std::string& victim, const std::string& job,
                               const std::vector<std::string>& settings);

}  // namespace innerloop::integration
