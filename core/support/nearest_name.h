// For messages about names that are not known.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace innerloop {

// The one of `names` (not empty) with the fewest single-character edits from `to` (Levenshtein
// 1966); the first 64 characters count.
const std::string& NearestName(const std::vector<std::string>& names, absl::string_view to);

}  // namespace innerloop
