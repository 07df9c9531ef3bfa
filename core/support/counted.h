// Numbers of things in messages.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace innerloop {

// "1 shot", "3 shots"; `many` for words that take another ending: "2 classes".
inline std::string Counted(uint64_t count, absl::string_view one, absl::string_view many = "") {
  return count == 1     ? absl::StrCat(count, " ", one)
         : many.empty() ? absl::StrCat(count, " ", one, "s")
                        : absl::StrCat(count, " ", many);
}

}  // namespace innerloop
