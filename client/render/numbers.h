// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace innerloop::client {

// "1,234,567".
std::string Count(uint64_t value);
// "1 class", "1,623 classes".
std::string CountOf(uint64_t count, const std::string& one, const std::string& many);
// Four decimals, or a power of ten where these would hide the value: "0.3512", "2.1e-05".
std::string Loss(double value);
// "0.3512 ± 0.0041".
std::string LossInterval(double value, double half_width);
// A fraction in percent: "97.53".
std::string Percent(double fraction);
std::string PercentInterval(double fraction, double half_width);
// "1,053/s"; below ten with two digits behind the point.
std::string Rate(double per_second);
// "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
std::string Span(absl::Duration duration);
// "25.3 MB".
std::string Bytes(uint64_t bytes);

}  // namespace innerloop::client
