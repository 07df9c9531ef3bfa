// Which arithmetic the coordinator computes with.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace innerloop::server {

// Raise it with every change of server/outer, iteration/tree_reducer or jobs/outer_loop that
// changes a result's bits.
inline constexpr char kOuterNumerics[] = "1";

// What CheckpointMetadata.outer_numerics becomes when this program goes on from a checkpoint that
// has `before`: "1" stays "1" under version 1 and becomes "1+2" under version 2.
std::string ContinuedNumerics(absl::string_view before, absl::string_view present = kOuterNumerics);
// Whether that names more than one version.
bool IsMixed(absl::string_view numerics);

}  // namespace innerloop::server
