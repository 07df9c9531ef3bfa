#include "client/render/numbers.h"

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace innerloop::client {

std::string Count(uint64_t value) {
  std::string digits = absl::StrCat(value);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string CountOf(uint64_t count, const std::string& one, const std::string& many) {
  return absl::StrCat(Count(count), " ", count == 1 ? one : many);
}

std::string Loss(double value) {
  if (!std::isfinite(value)) {
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-3 || size >= 1e4)) {
    return absl::StrFormat("%.2e", value);
  }
  return absl::StrFormat("%.4f", value);
}

std::string LossInterval(double value, double half_width) {
  // Of a mean that is no number there is no interval.
  return std::isfinite(value) ? absl::StrCat(Loss(value), " ± ", Loss(half_width)) : Loss(value);
}

std::string Percent(double fraction) { return absl::StrFormat("%.2f", 100 * fraction); }

std::string PercentInterval(double fraction, double half_width) {
  return absl::StrCat(Percent(fraction), " ± ", Percent(half_width));
}

std::string Rate(double per_second) {
  return absl::StrCat(per_second < 10 ? absl::StrFormat("%.2f", per_second)
                                      : Count(static_cast<uint64_t>(std::llround(per_second))),
                      "/s");
}

std::string Span(absl::Duration duration) {
  if (duration < absl::Seconds(10)) {
    return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(duration));
  }
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 60) {
    return absl::StrCat(seconds, " s");
  }
  if (seconds < 3600) {
    return absl::StrCat(seconds / 60, " min ", seconds % 60, " s");
  }
  return absl::StrCat(seconds / 3600, " h ", seconds % 3600 / 60, " min");
}

std::string Bytes(uint64_t bytes) {
  static constexpr std::array<const char*, 4> kUnits = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) {
    return absl::StrCat(bytes, " B");
  }
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

}  // namespace innerloop::client
