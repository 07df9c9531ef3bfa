// Bounds on text that others sent. Header-only.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace innerloop {

// The text, or as much of its beginning as `most` bytes hold: cut where a character of UTF-8
// begins, because protocol buffers refuse half of one.
inline absl::string_view Shorten(absl::string_view text, size_t most) {
  if (text.size() <= most) {
    return text;
  }
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return text.substr(0, end);
}

}  // namespace innerloop
