#include "core/job/feature_statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// More would not fit the messages that a job's specification travels in.
constexpr size_t kMostFeatures = 16'384;

void CopyExample(const Dataset& dataset, int64_t example, std::vector<float>& row) {
  if (dataset.images()) {
    const absl::Span<const uint8_t> pixels = dataset.ImageAt(example);
    row.resize(pixels.size());
    std::transform(pixels.begin(), pixels.end(), row.begin(),
                   [](uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  } else {
    const absl::Span<const float> features = dataset.FeaturesAt(example);
    row.assign(features.begin(), features.end());
  }
}

}  // namespace

FeatureStatistics ComputeFeatureStatistics(const Dataset& dataset,
                                           const std::vector<uint32_t>& groups) {
  std::vector<float> row;
  CopyExample(dataset, 0, row);
  std::vector<double> sums(row.size(), 0);
  int64_t count = 0;
  const auto visit = [&](const auto& add) {
    for (const uint32_t group : groups) {
      for (int64_t i = dataset.group_begin(group); i < dataset.group_begin(group + 1); ++i) {
        CopyExample(dataset, i, row);
        for (size_t d = 0; d < row.size(); ++d) {
          add(d);
        }
      }
      count += dataset.group_begin(group + 1) - dataset.group_begin(group);
    }
  };
  visit([&](size_t d) { sums[d] += row[d]; });
  std::vector<double> means(row.size());
  for (size_t d = 0; d < row.size(); ++d) {
    means[d] = sums[d] / static_cast<double>(count);
  }
  std::fill(sums.begin(), sums.end(), 0);
  count = 0;
  // In two passes: the difference of two large sums would lose the digits of a small variance.
  visit([&](size_t d) { sums[d] += (row[d] - means[d]) * (row[d] - means[d]); });
  FeatureStatistics statistics;
  statistics.means.assign(means.begin(), means.end());
  statistics.scales.resize(row.size());
  for (size_t d = 0; d < row.size(); ++d) {
    const double deviation = std::sqrt(sums[d] / static_cast<double>(count));
    constexpr double kResolution = 1e-6;
    statistics.scales[d] =
        deviation > kResolution * std::abs(means[d]) ? static_cast<float>(1 / deviation) : 1;
  }
  return statistics;
}

FeatureStatistics FeatureStatisticsOf(const v1::GroupedTasks& tasks) {
  return {.means = {tasks.feature_means().begin(), tasks.feature_means().end()},
          .scales = {tasks.feature_scales().begin(), tasks.feature_scales().end()}};
}

absl::Status FillFeatureStatistics(const Dataset& dataset, v1::TaskSource& tasks) {
  if (!tasks.has_grouped()) {
    return absl::OkStatus();
  }
  v1::GroupedTasks& grouped = *tasks.mutable_grouped();
  grouped.clear_feature_means();
  grouped.clear_feature_scales();
  size_t features = 1;
  for (const int64_t length : dataset.example_shape()) {
    features *= static_cast<size_t>(length);
  }
  if (!grouped.standardise() || features > kMostFeatures) {
    return absl::OkStatus();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists, ResolveSplit(dataset, grouped.split()));
  const FeatureStatistics statistics = ComputeFeatureStatistics(dataset, lists.train);
  grouped.mutable_feature_means()->Add(statistics.means.begin(), statistics.means.end());
  grouped.mutable_feature_scales()->Add(statistics.scales.begin(), statistics.scales.end());
  return absl::OkStatus();
}

}  // namespace innerloop
