// Standardising the features of grouped tasks.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/dataset/dataset.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// One of each for every number of an example; empty when features stay as they are. Plain data.
struct FeatureStatistics {
  std::vector<float> means;
  // Reciprocal standard deviations; 1 where a feature varies less than float32 can tell.
  std::vector<float> scales;

  // Standardises an example in place.
  void Apply(float* example) const {
    for (size_t d = 0; d < means.size(); ++d) {
      example[d] = (example[d] - means[d]) * scales[d];
    }
  }
};

// Over the examples of these groups.
FeatureStatistics ComputeFeatureStatistics(const Dataset& dataset,
                                           const std::vector<uint32_t>& groups);

// As the resolved tasks have them.
FeatureStatistics FeatureStatisticsOf(const v1::GroupedTasks& tasks);

// Fills in feature_means and feature_scales of resolved grouped tasks with `standardise`, over the
// training groups; clears them for others. Statuses as of ResolveSplit.
absl::Status FillFeatureStatistics(const Dataset& dataset, v1::TaskSource& tasks);

}  // namespace innerloop
