#include "server/outer/numerics.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace innerloop::server {
namespace {

// Of checkpoints from before they said it.
constexpr char kFirst[] = "1";

}  // namespace

std::string ContinuedNumerics(absl::string_view before, absl::string_view present) {
  if (before.empty()) {
    before = kFirst;
  }
  const size_t last = before.rfind('+');
  return before.substr(last == absl::string_view::npos ? 0 : last + 1) == present
             ? std::string(before)
             : absl::StrCat(before, "+", present);
}

bool IsMixed(absl::string_view numerics) { return absl::StrContains(numerics, "+"); }

}  // namespace innerloop::server
