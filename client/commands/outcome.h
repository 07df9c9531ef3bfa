// What a job that was followed to its end becomes: output and exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/render/views.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// OK for SUCCEEDED; else why it failed. A job whose spec turned out to be impossible gives
// INVALID_ARGUMENT.
absl::Status OutcomeOf(const v1::Job& job);

// What a job had done before the run that followed it.
struct EarlierRuns {
  EarlierRuns() = default;
  explicit EarlierRuns(const v1::Job& begun)
      : iterations(begun.iteration()), seconds(begun.training_seconds()) {}
  uint64_t iterations = 0;
  double seconds = 0;
};

// {job, state, iterations, seconds, iterations_per_second, checkpoint, best_checkpoint,
// parameters_sha256, evaluation, periodic_evaluations, published, warnings}.
// The rate is that of the run which ended; `earlier` is what there was before it.
Json ResultJson(const v1::Job& job, const std::vector<v1::Evaluation>& periodic,
                const EarlierRuns& earlier);
// The same for people.
std::string ResultText(const v1::Job& job, const EarlierRuns& earlier);

}  // namespace innerloop::client
