// For messages about names that are not known.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace innerloop {

// What a message says of the known `names` when `to` is none of them: "the nearest of 18 is 'user'"
// where one is so near that it may have been meant, else "there are 18: 'user', 'item', ... and 15
// more". Near is at most a third of `to`'s characters in single-character edits (Levenshtein 1966),
// whatever the case of letters; the first 64 characters count.
std::string KnownNames(const std::vector<std::string>& names, absl::string_view to);

}  // namespace innerloop
