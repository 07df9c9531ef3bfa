#include "core/support/json_depth.h"

#include <cstddef>

namespace innerloop {

bool NestsWithin(absl::string_view json, int levels) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == '[' || c == '{')) {
      if (++depth > levels) {
        return false;
      }
    } else if (!quoted && (c == ']' || c == '}')) {
      if (--depth < 0) {
        return true;  // no JSON, and the parser stops here
      }
    }
  }
  return true;
}

}  // namespace innerloop
