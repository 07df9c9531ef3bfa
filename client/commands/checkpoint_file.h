// Checkpoint files of the user's own, computed with on this machine.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "client/local/local_cluster.h"
#include "client/session.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::client {

// A checkpoint does not hold a model of the user's own, only its parameters: `model` is the file
// that the command names, empty for none. It may run: who names it, trusts it. INVALID_ARGUMENT
// when it is not the one that the job of the checkpoint file `target` brought.
absl::Status CheckModelFile(const v1::JobSpec& spec, const std::string& target,
                            const std::string& model);
// The hashes of the user's models that the job's workers may run.
std::vector<std::string> AllowedBy(const v1::JobSpec& spec);

// Starts a cluster in a temporary folder, does `use` with it, and kills it. `workers` 0: one for
// each core.
absl::Status WithLocalCluster(const v1::JobSpec& spec, int workers, Session& session,
                              LiveLine& live, absl::FunctionRef<absl::Status(LocalCluster&)> use);

}  // namespace innerloop::client
