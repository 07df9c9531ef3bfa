#include "server/tensorboard/iteration_means.h"

#include <utility>

namespace innerloop::server {
namespace {

using Record = v1::IterationRecord;

constexpr double kWindowSeconds = 1;

struct Measure {
  const char* tag;
  const char* description;
  std::optional<double> (*value)(const Record& record);
};

std::optional<double> OnlyIf(bool has, double value) {
  return has ? std::optional<double>(value) : std::nullopt;
}

constexpr std::array<Measure, 7> kAll = {{
    {"training/meta_loss", "The objective's value, mean over the training tasks",
     [](const Record& record) -> std::optional<double> { return record.meta_loss(); }},
    {"training/accuracy", "Fraction of query examples right after adaptation",
     [](const Record& record) {
       return OnlyIf(record.has_meta_accuracy(), record.meta_accuracy());
     }},
    {"training/support_loss_before", "Loss on support sets before adaptation",
     [](const Record& record) {
       return OnlyIf(record.has_support_loss_before(), record.support_loss_before());
     }},
    {"training/support_loss_after", "Loss on support sets after adaptation",
     [](const Record& record) {
       return OnlyIf(record.has_support_loss_after(), record.support_loss_after());
     }},
    {"training/query_loss_before", "Loss on query examples before adaptation",
     [](const Record& record) {
       return OnlyIf(record.has_query_loss_before(), record.query_loss_before());
     }},
    {"training/update_norm", "Euclidean norm of the mean update before clipping",
     [](const Record& record) -> std::optional<double> { return record.update_norm(); }},
    {"training/learning_rate", "Of the outer optimiser",
     [](const Record& record) -> std::optional<double> { return record.learning_rate(); }},
}};

}  // namespace

std::optional<IterationMeans> IterationWindows::Add(const Record& record) {
  static_assert(kAll.size() == kMeasures);
  for (size_t i = 0; i < kAll.size(); ++i) {
    if (const std::optional<double> value = kAll[i].value(record); value.has_value()) {
      sums_[i].sum += *value;
      ++sums_[i].count;
    }
  }
  last_ = record;
  const bool due = !closed_.has_value() || record.seconds() - closed_->seconds() >= kWindowSeconds;
  return due ? Rest() : std::nullopt;
}

std::optional<IterationMeans> IterationWindows::Rest() {
  if (!last_.has_value()) {
    return std::nullopt;
  }
  IterationMeans means;
  means.step = last_->iteration() + 1;
  means.seconds = last_->seconds();
  for (size_t i = 0; i < kAll.size(); ++i) {
    if (sums_[i].count > 0) {
      means.measures.push_back(
          {kAll[i].tag, kAll[i].description, sums_[i].sum / static_cast<double>(sums_[i].count)});
    }
  }
  if (closed_.has_value() && last_->seconds() > closed_->seconds()) {
    means.measures.push_back({"training/iterations_per_second", "Outer steps per second",
                              static_cast<double>(last_->iteration() - closed_->iteration()) /
                                  (last_->seconds() - closed_->seconds())});
  }
  sums_ = {};
  closed_ = std::exchange(last_, std::nullopt);
  return means;
}

}  // namespace innerloop::server
