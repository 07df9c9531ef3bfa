#include "core/meta/tasks/sinusoid.h"

#include <cmath>

#include "core/meta/tasks/drawing.h"

namespace innerloop::meta {
namespace {

struct Curve {
  float amplitude;
  float phase;
};

// The next `count` points of a task.
void Fill(CounterRandom& random, const Curve& curve, float low, float span, int64_t count,
          float* inputs, float* targets) {
  for (int64_t i = 0; i < count; ++i) {
    inputs[i] = low + span * random.UniformFloat();
    targets[i] = curve.amplitude * std::sin(inputs[i] - curve.phase);
  }
}

Examples Allocate(int64_t tasks, int64_t count) {
  return {.inputs = torch::empty({tasks, count, 1}), .targets = torch::empty({tasks, count, 1})};
}

}  // namespace

TaskSizes SinusoidSource::sizes() const {
  return {.ways = 1, .shots = spec_.shots(), .queries = spec_.queries()};
}

TaskShape SinusoidSource::shape() const {
  return {.input = {1}, .outputs = 1, .classification = false};
}

absl::Status SinusoidSource::Check(v1::Split, const TaskSizes& sizes,
                                   absl::string_view field) const {
  return CheckOneWay(sizes, "sinusoid", field);
}

TaskBatch SinusoidSource::Sample(const TaskKey& key, uint64_t first, uint64_t last,
                                 const TaskSizes& sizes) const {
  const auto tasks = static_cast<int64_t>(last - first);
  TaskBatch batch{.key = key,
                  .first_task = first,
                  .support = Allocate(tasks, sizes.shots),
                  .query = Allocate(tasks, sizes.queries)};
  auto* support_inputs = batch.support.inputs.data_ptr<float>();
  auto* support_targets = batch.support.targets.data_ptr<float>();
  auto* query_inputs = batch.query.inputs.data_ptr<float>();
  auto* query_targets = batch.query.targets.data_ptr<float>();
  const auto low = static_cast<float>(spec_.input().low());
  const auto span = static_cast<float>(spec_.input().high() - spec_.input().low());
  for (int64_t t = 0; t < tasks; ++t) {
    CounterRandom random = RandomOfTask(key, first + static_cast<uint64_t>(t));
    Curve curve{};
    curve.amplitude =
        static_cast<float>(random.Uniform(spec_.amplitude().low(), spec_.amplitude().high()));
    curve.phase = static_cast<float>(random.Uniform(spec_.phase().low(), spec_.phase().high()));
    Fill(random, curve, low, span, sizes.shots, support_inputs + t * sizes.shots,
         support_targets + t * sizes.shots);
    Fill(random, curve, low, span, sizes.queries, query_inputs + t * sizes.queries,
         query_targets + t * sizes.queries);
  }
  return batch;
}

}  // namespace innerloop::meta
