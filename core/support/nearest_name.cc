#include "core/support/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace innerloop {
namespace {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  a = a.substr(0, 64);
  b = b.substr(0, 64);
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

}  // namespace

const std::string& NearestName(const std::vector<std::string>& names, absl::string_view to) {
  return *std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return EditDistance(a, to) < EditDistance(b, to);
  });
}

}  // namespace innerloop
