// The few pieces that /metrics pages are put together from. Header-only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

namespace innerloop::server {

using LabelList = std::vector<prometheus::ClientMetric::Label>;

// A family in the making. One thread only.
class FamilyBuilder {
 public:
  FamilyBuilder(std::string name, std::string help, prometheus::MetricType type)
      : family_{std::move(name), std::move(help), type, {}} {}

  void Add(prometheus::ClientMetric metric, LabelList labels) {
    metric.label = std::move(labels);
    family_.metric.push_back(std::move(metric));
  }
  // For gauges and counters.
  void Add(double value, LabelList labels) {
    prometheus::ClientMetric metric;
    metric.gauge.value = value;
    metric.counter.value = value;
    Add(std::move(metric), std::move(labels));
  }
  // Appends the family unless it is empty.
  void FinishInto(std::vector<prometheus::MetricFamily>& families) && {
    if (!family_.metric.empty()) {
      families.push_back(std::move(family_));
    }
  }

 private:
  prometheus::MetricFamily family_;
};

}  // namespace innerloop::server
