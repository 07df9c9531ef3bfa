#include "core/support/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace innerloop {
namespace {

constexpr size_t kCompared = 64;
// So many names are listed.
constexpr size_t kListed = 8;

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string Compared(absl::string_view name) {
  return absl::AsciiStrToLower(name.substr(0, kCompared));
}

}  // namespace

std::string KnownNames(const std::vector<std::string>& names, absl::string_view to) {
  const std::string wanted = Compared(to);
  const std::string* nearest = nullptr;
  size_t least = std::numeric_limits<size_t>::max();
  for (const std::string& name : names) {
    const size_t distance = EditDistance(Compared(name), wanted);
    if (distance < least) {
      least = distance;
      nearest = &name;
    }
  }
  if (nearest != nullptr && least <= (wanted.size() + 1) / 3) {
    return absl::StrCat("the nearest of ", names.size(), " is '", *nearest, "'");
  }
  std::string text = absl::StrCat(names.size() == 1 ? "there is " : "there are ", names.size());
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i) {
    absl::StrAppend(&text, i == 0 ? ": '" : ", '", names[i], "'");
  }
  if (names.size() > kListed) {
    absl::StrAppend(&text, " and ", names.size() - kListed, " more");
  }
  return text;
}

}  // namespace innerloop
