#include "core/meta/tasks/random_map.h"

#include <cmath>

#include "core/meta/tasks/drawing.h"

namespace innerloop::meta {
namespace {

// W [inputs, outputs] with N(0, 1 / inputs), then b [outputs] with N(0, 1).
std::vector<double> DrawMap(CounterRandom& random, int64_t inputs, int64_t outputs) {
  const double scale = 1 / std::sqrt(static_cast<double>(inputs));
  std::vector<double> map(static_cast<size_t>(inputs * outputs + outputs));
  for (size_t i = 0; i < map.size(); ++i) {
    map[i] = random.Normal() * (i < static_cast<size_t>(inputs * outputs) ? scale : 1);
  }
  return map;
}

// The next `count` examples of a task. `noise` is its standard deviation.
void Fill(CounterRandom& random, const std::vector<double>& map, double noise, int64_t task,
          Examples& examples) {
  const int64_t count = examples.inputs.size(1);
  const int64_t inputs = examples.inputs.size(2);
  const int64_t outputs = examples.targets.size(2);
  const double* const bias = map.data() + inputs * outputs;
  auto* x = examples.inputs.data_ptr<float>() + task * count * inputs;
  auto* y = examples.targets.data_ptr<float>() + task * count * outputs;
  std::vector<double> sums(static_cast<size_t>(outputs));
  for (int64_t n = 0; n < count; ++n, x += inputs, y += outputs) {
    sums.assign(bias, bias + outputs);
    for (int64_t i = 0; i < inputs; ++i) {
      x[i] = static_cast<float>(random.Normal());
      const double* const row = map.data() + i * outputs;
      for (int64_t j = 0; j < outputs; ++j) {
        sums[static_cast<size_t>(j)] += double{x[i]} * row[j];
      }
    }
    for (int64_t j = 0; j < outputs; ++j) {
      const double off = noise > 0 ? noise * random.Normal() : 0;
      y[j] = static_cast<float>(sums[static_cast<size_t>(j)] + off);
    }
  }
}

}  // namespace

RandomMapSource::RandomMapSource(const v1::RandomMapTasks& resolved) : spec_(resolved) {
  CounterRandom random(/*seed=*/0, RandomPurpose::kCommonMap);
  common_ = DrawMap(random, spec_.inputs(), spec_.outputs());
}

TaskSizes RandomMapSource::sizes() const {
  return {.ways = 1, .shots = spec_.shots(), .queries = spec_.queries()};
}

TaskShape RandomMapSource::shape() const {
  return {.input = {spec_.inputs()}, .outputs = spec_.outputs(), .classification = false};
}

absl::Status RandomMapSource::Check(v1::Split, const TaskSizes& sizes,
                                    absl::string_view field) const {
  return CheckOneWay(sizes, "random-map", field);
}

TaskBatch RandomMapSource::Sample(const TaskKey& key, uint64_t first, uint64_t last,
                                  const TaskSizes& sizes) const {
  const auto tasks = static_cast<int64_t>(last - first);
  const auto allocate = [&](int64_t count) {
    return Examples{.inputs = torch::empty({tasks, count, spec_.inputs()}),
                    .targets = torch::empty({tasks, count, spec_.outputs()})};
  };
  TaskBatch batch{.key = key,
                  .first_task = first,
                  .support = allocate(sizes.shots),
                  .query = allocate(sizes.queries)};
  const double own_share = std::sqrt(1 - spec_.shared());
  const double common_share = std::sqrt(spec_.shared());
  for (int64_t t = 0; t < tasks; ++t) {
    CounterRandom random = RandomOfTask(key, first + static_cast<uint64_t>(t));
    std::vector<double> map = DrawMap(random, spec_.inputs(), spec_.outputs());
    for (size_t i = 0; i < map.size(); ++i) {
      map[i] = own_share * map[i] + common_share * common_[i];
    }
    Fill(random, map, spec_.noise(), t, batch.support);
    Fill(random, map, spec_.noise(), t, batch.query);
  }
  return batch;
}

}  // namespace innerloop::meta
