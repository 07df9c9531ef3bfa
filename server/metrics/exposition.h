// The pieces that the /metrics page is put together from. Header-only.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include "absl/strings/string_view.h"
#include "core/metrics/definition.h"

namespace innerloop::server {

// Values of a definition's labels, in its order.
using LabelValues = std::vector<std::string>;

// A page in the making. One thread only.
class Families {
 public:
  void Add(const metrics::Definition& definition, prometheus::ClientMetric metric,
           LabelValues values = {}) {
    for (size_t i = 0; i < values.size(); ++i) {
      metric.label.push_back({definition.labels.at(i).name, std::move(values[i])});
    }
    prometheus::MetricFamily& family = families_[definition.name];
    family.metric.push_back(std::move(metric));
    if (family.name.empty()) {
      family.name = definition.name;
      family.help = definition.help;
      family.type = TypeOf(definition);
    }
  }
  // For gauges and counters.
  void Add(const metrics::Definition& definition, double value, LabelValues values = {}) {
    prometheus::ClientMetric metric;
    metric.gauge.value = value;
    metric.counter.value = value;
    Add(definition, std::move(metric), std::move(values));
  }
  std::vector<prometheus::MetricFamily> Take() && {
    std::vector<prometheus::MetricFamily> all;
    all.reserve(families_.size());
    for (auto& [name, family] : families_) {
      all.push_back(std::move(family));
    }
    return all;
  }

 private:
  static prometheus::MetricType TypeOf(const metrics::Definition& definition) {
    switch (definition.type) {
      case metrics::Type::kGauge:
        return prometheus::MetricType::Gauge;
      case metrics::Type::kCounter:
        return prometheus::MetricType::Counter;
      case metrics::Type::kHistogram:
        return prometheus::MetricType::Histogram;
      case metrics::Type::kSummary:
        return prometheus::MetricType::Summary;
    }
    return prometheus::MetricType::Untyped;
  }

  std::map<absl::string_view, prometheus::MetricFamily> families_;
};

}  // namespace innerloop::server
