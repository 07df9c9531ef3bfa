// The second-order meta-gradient of 25 sinusoid tasks (MLP 1-40-40-1, ReLU, 10 support and 10 query
// points, inner SGD with a rate of 0.01) on one thread; the argument is the number of inner steps.
// "Engine" is how workers compute it (by hand-derived formulas, or by automatic differentiation
// over all tasks at once); "OneTaskAtATime" is the usual loop over tasks. All three are compared
// before they are timed.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "core/job/job_spec.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/program.h"
#include "core/meta/tensors.h"
#include "google/protobuf/text_format.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kTasks = 25;
constexpr double kInnerRate = 0.01;

v1::JobSpec Job(int64_t steps) {
  v1::JobSpec spec;
  google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("seed: 1 model { mlp { hidden: [40, 40] } } tasks { sinusoid { } } "
                   "algorithm { maml { inner_steps: ",
                   steps, " } } meta_batch: ", kTasks, " iterations: 1"),
      &spec);
  return ResolveJobSpec(spec, nullptr).value();
}

// A job's algorithm, its first parameters and its first tasks.
struct Setting {
  explicit Setting(v1::JobSpec spec) {
    PrepareComputeThread();
    const auto source = CreateTaskSource(spec.tasks(), nullptr).value();
    algorithm = CreateAlgorithm(spec, source->shape()).value();
    for (const MetaParameter& parameter : algorithm->meta_parameters()) {
      const std::vector<int64_t> shape(parameter.spec.shape().begin(),
                                       parameter.spec.shape().end());
      theta.push_back(DrawInitial(parameter.initialiser, shape, spec.seed(),
                                  static_cast<uint32_t>(theta.size())));
    }
    tasks = source->Sample({.seed = spec.seed()}, 0, kTasks, source->sizes());
  }
  Tensors Zeros() const {
    Tensors zeros;
    for (const Tensor& tensor : theta) {
      zeros.push_back(at::zeros_like(tensor));
    }
    return zeros;
  }
  Tensors Update() const {
    Tensors updates = Zeros();
    TaskSums sums;
    algorithm->AddUpdates(theta, tasks, /*detailed=*/false, updates, sums);
    return updates;
  }

  std::unique_ptr<Algorithm> algorithm;
  Tensors theta;
  TaskBatch tasks;
};

Tensor Loss(const Tensors& theta, const Tensor& inputs, const Tensor& targets) {
  const Tensor hidden1 = at::relu(at::addmm(theta[1], inputs, theta[0]));
  const Tensor hidden2 = at::relu(at::addmm(theta[3], hidden1, theta[2]));
  return at::mse_loss(at::addmm(theta[5], hidden2, theta[4]), targets);
}

Tensors OneTaskAtATime(const Setting& setting, int64_t steps) {
  Tensors sums = setting.Zeros();
  Tensors variables;
  for (const Tensor& tensor : setting.theta) {
    variables.push_back(tensor.detach().requires_grad_());
  }
  const TaskBatch& tasks = setting.tasks;
  for (int64_t t = 0; t < kTasks; ++t) {
    Tensors adapted = variables;
    for (int64_t k = 0; k < steps; ++k) {
      const Tensors gradients = torch::autograd::grad(
          {Loss(adapted, tasks.support.inputs[t], tasks.support.targets[t])}, adapted, {},
          /*retain_graph=*/true, /*create_graph=*/true);
      for (size_t i = 0; i < adapted.size(); ++i) {
        adapted[i] = adapted[i] - kInnerRate * gradients[i];
      }
    }
    const Tensors gradients = torch::autograd::grad(
        {Loss(adapted, tasks.query.inputs[t], tasks.query.targets[t])}, variables);
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i].add_(gradients[i]);
    }
  }
  return sums;
}

// Whether `update` is the loop's up to rounding (a ReLU that changes sides within it included).
bool AgreesWithLoop(const Setting& setting, int64_t steps, const Tensors& update) {
  const Tensors expected = OneTaskAtATime(setting, steps);
  for (size_t i = 0; i < update.size(); ++i) {
    if (!at::allclose(update[i], expected[i], 1e-3, 1e-3)) {
      return false;
    }
  }
  return true;
}

void Engine(benchmark::State& state, v1::ComputeSpec::Engine engine) {
  v1::JobSpec spec = Job(state.range(0));
  spec.mutable_compute()->set_engine(engine);
  const Setting setting(spec);
  Tensors updates = setting.Update();
  if (!AgreesWithLoop(setting, state.range(0), updates)) {
    state.SkipWithError("the meta-gradient is not that of the loop over tasks");
    return;
  }
  for (auto _ : state) {
    TaskSums sums;
    setting.algorithm->AddUpdates(setting.theta, setting.tasks, false, updates, sums);
    benchmark::DoNotOptimize(sums);
  }
}
BENCHMARK_CAPTURE(Engine, fused, v1::ComputeSpec::ENGINE_FUSED)
    ->Arg(1)
    ->Arg(5)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Engine, autograd, v1::ComputeSpec::ENGINE_AUTOGRAD)
    ->Arg(1)
    ->Arg(5)
    ->Unit(benchmark::kMillisecond);

void Loop(benchmark::State& state) {
  const Setting setting(Job(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(OneTaskAtATime(setting, state.range(0)));
  }
}
BENCHMARK(Loop)->Name("OneTaskAtATime")->Arg(1)->Arg(5)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace innerloop::meta

BENCHMARK_MAIN();
