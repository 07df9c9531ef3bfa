// Memory of a chunk of 4 tasks of conv4 (64 filters, stride 2, batch norm) on Omniglot's shape, 5
// ways, 1 query, inner SGD, by shots and inner steps. "MiB": tensors at their peak, as LibTorch's
// allocator counts them. "ResidentMiB": how far the process's resident memory rose above idle, in a
// process of its own, with the allocator that workers run with.
#include <cstdint>
#include <fstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/memory_meter.h"
#include "core/meta/models/model.h"
#include "core/meta/program.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kTasks = 4;
constexpr int64_t kWays = 5;
constexpr int64_t kSize = 28;

v1::JobSpec Job(v1::Maml::Order order, uint32_t steps) {
  v1::JobSpec job;
  auto& conv4 = *job.mutable_model()->mutable_conv4();
  conv4.set_filters(64);
  conv4.set_downsampling(v1::Conv4Model::DOWNSAMPLING_STRIDE);
  conv4.set_norm(v1::Conv4Model::NORM_BATCH);
  conv4.set_head(v1::Conv4Model::HEAD_SPATIAL_MEAN);
  conv4.set_initialisation(v1::INITIALISATION_GLOROT_UNIFORM);
  job.mutable_loss()->set_kind(v1::LossSpec::KIND_CROSS_ENTROPY);
  auto& maml = *job.mutable_algorithm()->mutable_maml();
  maml.set_order(order);
  maml.set_inner_steps(steps);
  maml.mutable_inner_optimizer()->mutable_sgd()->set_learning_rate(0.1);
  job.mutable_compute()->set_engine(v1::ComputeSpec::ENGINE_AUTOGRAD);
  return job;
}

Examples RandomExamples(int64_t tasks, int64_t shots) {
  return {at::rand({tasks, kWays * shots, kSize, kSize, 1}),
          at::arange(kWays).repeat_interleave(shots).repeat({tasks, 1}), Tensor()};
}

void RunChunk(const v1::JobSpec& job, int64_t tasks, int64_t shots) {
  const auto algorithm = CreateAlgorithm(job, {{kSize, kSize, 1}, kWays, true}).value();
  Tensors theta;
  Tensors updates;
  for (const MetaParameter& parameter : algorithm->meta_parameters()) {
    const std::vector<int64_t> shape(parameter.spec.shape().begin(), parameter.spec.shape().end());
    theta.push_back(
        DrawInitial(parameter.initialiser, shape, /*seed=*/1, static_cast<uint32_t>(theta.size())));
    updates.push_back(at::zeros_like(theta.back()));
  }
  TaskSums sums;
  algorithm->AddUpdates(
      theta, {.support = RandomExamples(tasks, shots), .query = RandomExamples(tasks, /*shots=*/1)},
      /*detailed=*/false, updates, sums);
  benchmark::DoNotOptimize(updates);
}

// A line of /proc/self/status, in MiB.
double Status(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    int64_t kib = 0;
    if (absl::StartsWith(line, name + ":") &&
        absl::SimpleAtoi(absl::StripSuffix(absl::StripPrefix(line, name + ":"), " kB"), &kib)) {
      return static_cast<double>(kib) / 1024;
    }
  }
  return -1;
}

struct Measures {
  double tensors_mib = 0;
  double resident_mib = 0;
  double seconds = 0;
};

// Runs in a child. Its first chunk, of one task, loads what any chunk needs.
Measures Measure(const v1::JobSpec& job, int64_t shots) {
  PrepareComputeThread();
  RunChunk(job, /*tasks=*/1, shots);
  std::ofstream("/proc/self/clear_refs") << "5";  // the high-water mark begins anew
  const double idle = Status("VmRSS");
  const absl::Time began = absl::Now();
  RunChunk(job, kTasks, shots);
  Measures measures{.resident_mib = Status("VmHWM") - idle,
                    .seconds = absl::ToDoubleSeconds(absl::Now() - began)};
  const MemoryMeter meter;
  RunChunk(job, kTasks, shots);
  measures.tensors_mib = static_cast<double>(meter.peak()) / (1 << 20);
  return measures;
}

// All happens in a child: this process's heap stays as small as it began.
void Chunk(benchmark::State& state, v1::Maml::Order order) {
  const v1::JobSpec job = Job(order, static_cast<uint32_t>(state.range(1)));
  for (auto _ : state) {
    int ends[2];
    if (pipe(ends) != 0) {
      state.SkipWithError("no pipe");
      return;
    }
    const pid_t child = fork();
    if (child == 0) {
      const Measures measures = Measure(job, state.range(0));
      _exit(write(ends[1], &measures, sizeof(measures)) == sizeof(measures) ? 0 : 1);
    }
    close(ends[1]);
    Measures measures;
    if (read(ends[0], &measures, sizeof(measures)) != sizeof(measures)) {
      state.SkipWithError("the child ended without a result");
    }
    close(ends[0]);
    waitpid(child, nullptr, 0);
    state.SetIterationTime(measures.seconds);
    state.counters["MiB"] = measures.tensors_mib;
    state.counters["ResidentMiB"] = measures.resident_mib;
  }
}
void ShotsAndSteps(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"shots", "steps"})
      ->ArgsProduct({{1, 5}, {1, 5}})
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(Chunk, Graph, v1::Maml::ORDER_SECOND)->Apply(ShotsAndSteps);
BENCHMARK_CAPTURE(Chunk, HessianProducts, v1::Maml::ORDER_HVP)->Apply(ShotsAndSteps);
BENCHMARK_CAPTURE(Chunk, FirstOrder, v1::Maml::ORDER_FIRST)->Apply(ShotsAndSteps);

}  // namespace
}  // namespace innerloop::meta

BENCHMARK_MAIN();
