// What the same job came to with several seeds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/commands/outcome.h"
#include "client/render/views.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// Mean and sample standard deviation (the squares' sum over n - 1); the deviation of one value is
// NaN.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
// `values` is not empty.
Spread SpreadOf(const std::vector<double>& values);

// One seed's job as it ended.
struct SeedResult {
  uint64_t seed = 0;
  v1::Job job;
  std::vector<v1::Evaluation> periodic;
  EarlierRuns earlier = {};
};

// {name, seeds, evaluation: the protocol and steps of {step, runs, loss, loss_deviation, accuracy,
// accuracy_deviation}, runs: [{seed, and what a single run gives}]}. The evaluation is
// over the jobs that succeeded, null when none did; `name` is the group's.
Json GroupJson(const std::string& name, const std::vector<SeedResult>& results);
// The same for people.
std::string GroupText(const std::vector<SeedResult>& results);

}  // namespace innerloop::client
