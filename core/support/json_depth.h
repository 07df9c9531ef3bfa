// How deep JSON nests, for what others made.
#pragma once

#include "absl/strings/string_view.h"

namespace innerloop {

// Whether the arrays and objects of a JSON text stand inside one another at most `levels` deep.
// nlohmann's values are copied, compared and written by recursion, which deep ones take beyond the
// stack: ask before parsing. Text that is no JSON is judged by as much of it as the parser reads.
bool NestsWithin(absl::string_view json, int levels);

}  // namespace innerloop
