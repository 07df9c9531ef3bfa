// What a metric is called and means. The pages of both servers and deploy/METRICS.md follow from
// these.
#pragma once

#include <array>

namespace innerloop::metrics {

enum class Type { kGauge, kCounter, kHistogram, kSummary };

struct Label {
  const char* name = nullptr;
  // Its values, separated by '|', where they are a closed list; else nullptr.
  const char* values = nullptr;
  // What they are where they are not.
  const char* meaning = nullptr;
};

// Constants alone: they are known by their address. Unused labels have no name.
struct Definition {
  const char* name;
  Type type;
  // Of a value or, for a histogram, of an observation.
  const char* unit;
  const char* help;
  std::array<Label, 5> labels = {};
};

}  // namespace innerloop::metrics
