// The seeds that `train --seeds` names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace innerloop::client {

// "1..5", "1,4,7" or both: in the order given, each once, at most 100. INVALID_ARGUMENT says what
// is wrong with the flag.
absl::StatusOr<std::vector<uint64_t>> ParseSeeds(const std::string& flag);

// A job's name with its seed, within the length that names may have.
std::string NameWithSeed(const std::string& name, uint64_t seed);

}  // namespace innerloop::client
