// What the service costs around the computation: a real coordinator in this process, and two worker
// processes on loopback (this program, started again) whose shards compute nothing. The times are
// medians over a job's iterations, as its history has them.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "benchmark/benchmark.h"
#include "core/rpc/grpc_log.h"
#include "tests/benchmarks/idle_cluster.h"

namespace innerloop {
namespace {

// Buffers and connections grow to their sizes first.
size_t WarmUp(const std::vector<double>& ends) { return ends.size() / 10; }

double MedianIteration(const std::vector<double>& ends) {
  std::vector<double> seconds;
  for (size_t i = WarmUp(ends) + 1; i < ends.size(); ++i) {
    seconds.push_back(ends[i] - ends[i - 1]);
  }
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

// What happens now and then counts in.
double MeanIteration(const std::vector<double>& ends) {
  const size_t first = WarmUp(ends);
  return (ends.back() - ends[first]) / static_cast<double>(ends.size() - 1 - first);
}

void Measure(benchmark::State& state, int64_t values, uint64_t iterations,
             const std::string& outer_optimizer) {
  for (auto _ : state) {
    IdleCluster cluster(values);
    const std::vector<double> ends = cluster.Run(iterations, outer_optimizer, /*observed=*/false);
    if (ends.empty()) {
      state.SkipWithError(cluster.error().c_str());
      return;
    }
    const double median = MedianIteration(ends);
    state.SetIterationTime(median);
    // Parameters out and as many back, of one worker.
    state.counters["GB/s"] = 2 * sizeof(float) * static_cast<double>(values) / median / 1e9;
  }
}

void IterationWithoutCompute(benchmark::State& state) {
  Measure(state, /*values=*/30'000, /*iterations=*/5'000, "adam { }");
}
BENCHMARK(IterationWithoutCompute)
    ->UseManualTime()
    ->Iterations(1)
    ->Repetitions(3)
    ->ReportAggregatesOnly(true)
    ->Unit(benchmark::kMillisecond);

void LargeParametersOutAndBack(benchmark::State& state) {
  Measure(state, /*values=*/25'000'000 / sizeof(float), /*iterations=*/100, "sgd { }");
}
BENCHMARK(LargeParametersOutAndBack)
    ->UseManualTime()
    ->Iterations(1)
    ->Repetitions(3)
    ->ReportAggregatesOnly(true)
    ->Unit(benchmark::kMillisecond);

// The mean iteration of jobs that are watched and whose metrics are asked for, beside jobs that
// nobody looks at, in turns; `percent` is the median of what the former take longer. As many values
// as the sinusoid job's net has.
void ObservedIteration(benchmark::State& state) {
  constexpr int kPairs = 8;
  for (auto _ : state) {
    IdleCluster cluster(/*values=*/1'761);
    std::vector<double> percents;
    std::vector<double> means;
    for (int pair = 0; pair < kPairs; ++pair) {
      double mean[2] = {};
      for (const bool second : {false, true}) {
        const bool observed = second == (pair % 2 == 0);
        const std::vector<double> ends = cluster.Run(/*iterations=*/10'000, "adam { }", observed);
        if (ends.empty()) {
          state.SkipWithError(cluster.error().c_str());
          return;
        }
        mean[observed ? 1 : 0] = MeanIteration(ends);
      }
      percents.push_back(100 * (mean[1] / mean[0] - 1));
      means.push_back(mean[1]);
    }
    std::sort(percents.begin(), percents.end());
    std::sort(means.begin(), means.end());
    state.SetIterationTime(means[kPairs / 2]);
    state.counters["percent"] = (percents[kPairs / 2 - 1] + percents[kPairs / 2]) / 2;
  }
}
BENCHMARK(ObservedIteration)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

// The median iteration under mutual TLS, with a token's holder watching, beside the same in
// plaintext, in turns; `percent` is the median of what the former take longer.
void MeasureTls(benchmark::State& state, int64_t values, uint64_t iterations,
                const std::string& outer_optimizer, int workers) {
  constexpr int kPairs = 6;
  for (auto _ : state) {
    IdleCluster plaintext(values, /*tls=*/false, workers);
    IdleCluster secured(values, /*tls=*/true, workers);
    std::vector<double> percents;
    std::vector<double> medians;
    for (int pair = 0; pair < kPairs; ++pair) {
      double median[2] = {};
      for (const bool second : {false, true}) {
        const bool tls = second == (pair % 2 == 0);
        IdleCluster& cluster = tls ? secured : plaintext;
        const std::vector<double> ends =
            cluster.Run(iterations, outer_optimizer, /*observed=*/true);
        if (ends.empty()) {
          state.SkipWithError(cluster.error().c_str());
          return;
        }
        median[tls ? 1 : 0] = MedianIteration(ends);
      }
      percents.push_back(100 * (median[1] / median[0] - 1));
      medians.push_back(median[1]);
    }
    std::sort(percents.begin(), percents.end());
    std::sort(medians.begin(), medians.end());
    state.SetIterationTime(medians[kPairs / 2]);
    state.counters["percent"] = (percents[kPairs / 2 - 1] + percents[kPairs / 2]) / 2;
    state.counters["GB/s"] =
        2 * sizeof(float) * static_cast<double>(values) / medians[kPairs / 2] / 1e9;
  }
}

// As many values as the sinusoid job's net has.
void TlsIteration(benchmark::State& state) {
  MeasureTls(state, 1'761, 10'000, "adam { }", /*workers=*/2);
}
BENCHMARK(TlsIteration)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

// One connection: two would share the cores that encrypt and decrypt.
void TlsLargeParametersOutAndBack(benchmark::State& state) {
  MeasureTls(state, 25'000'000 / sizeof(float), 50, "sgd { }", /*workers=*/1);
}
BENCHMARK(TlsLargeParametersOutAndBack)
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace innerloop

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  innerloop::SendGrpcLogToOurs();
  int exit_code = 0;
  if (innerloop::RunPartOfCluster(argc, argv, &exit_code)) {
    return exit_code;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
}
