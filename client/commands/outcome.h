// What a job that was followed to its end becomes: output and exit code.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/render/views.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// OK for SUCCEEDED; else why it failed. A job whose spec turned out to be impossible gives
// INVALID_ARGUMENT.
absl::Status OutcomeOf(const v1::Job& job);

// {job, state, iterations, seconds, iterations_per_second, checkpoint, best_checkpoint,
// parameters_sha256, evaluation, periodic_evaluations, published, warnings}.
Json ResultJson(const v1::Job& job, const std::vector<v1::Evaluation>& periodic);
// The same for people.
std::string ResultText(const v1::Job& job);

}  // namespace innerloop::client
