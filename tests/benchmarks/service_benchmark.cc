// What the service costs around the computation: a real coordinator in this process, and two worker
// processes on loopback (this program, started again) whose shards compute nothing. The times are
// medians over a job's iterations, as its history has them.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "core/meta/program.h"
#include "core/rpc/grpc_log.h"
#include "core/support/die_with_parent.h"
#include "google/protobuf/text_format.h"
#include "innerloop/v1/training.grpc.pb.h"
#include "server/server.h"
#include "worker/metrics.h"
#include "worker/worker.h"

namespace innerloop {
namespace {

constexpr int kWorkers = 2;
constexpr char kWorkerFlag[] = "--worker";

// Holds one tensor of so many values; its updates are zero.
class IdleProgram final : public meta::Program {
 public:
  explicit IdleProgram(int64_t values) {
    v1::ParameterLayout proto;
    proto.add_tensors()->set_name("theta");
    proto.mutable_tensors(0)->add_shape(values);
    layout_ = Layout::Create(proto).value();
  }
  const Layout& layout() const override { return layout_; }
  absl::StatusOr<FlatBuffer> Initialise() const override { return FlatBuffer(layout_.flat_size()); }
  absl::StatusOr<meta::ShardOutput> RunShard(const FlatBuffer& /*parameters*/,
                                             const v1::Shard& shard) const override {
    meta::ShardOutput output = {FlatBuffer(layout_.flat_size()), {}};
    output.metrics.set_tasks(shard.last_task() - shard.first_task());
    return output;
  }
  absl::StatusOr<v1::EvaluationSums> RunEvaluation(const FlatBuffer& /*parameters*/,
                                                   const v1::EvaluationShard&) const override {
    return absl::UnimplementedError("the benchmark evaluates nothing");
  }

 private:
  Layout layout_;
};

// Ends with the benchmark.
int RunWorker(const std::string& coordinator, int64_t values, const std::string& folder) {
  DieWithParent();
  const auto metrics = worker::Metrics::Create(/*listen=*/"", {});
  worker::Options options;
  options.coordinator = coordinator;
  options.name = "benchmark";
  options.cache_dir = folder;
  const auto worker = worker::Worker::Create(
      options,
      {.create_program = [values](const v1::JobSpec&, std::shared_ptr<const Dataset>,
                                  uint64_t) -> absl::StatusOr<std::unique_ptr<meta::Program>> {
         return std::make_unique<IdleProgram>(values);
       },
       .prepare_thread = [] {},
       .fingerprint = {},
       .metrics = **metrics,
       .clock = Clock::Real(),
       .uniform = [] { return 0.5; },
       .on_connected = [](bool) {}});
  return (*worker)->Run().ok() ? 0 : 1;
}

// A coordinator, its state in a temporary folder, and the workers.
class Cluster {
 public:
  explicit Cluster(int64_t values) {
    std::string folder = (std::filesystem::temp_directory_path() / "innerloop-XXXXXX").string();
    folder_ = mkdtemp(folder.data());
    server::Options options;
    options.state_dir = absl::StrCat(folder_, "/state");
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "127.0.0.1:0";
    auto server = server::Server::Create(options);
    if (!server.ok()) {
      error_ = std::string(server.status().message());
      return;
    }
    server_ = *std::move(server);
    for (int i = 0; i < kWorkers; ++i) {
      std::vector<std::string> arguments = {"/proc/self/exe", kWorkerFlag, server_->address(),
                                            std::to_string(values),
                                            absl::StrCat(folder_, "/cache")};
      std::vector<char*> pointers;
      for (std::string& argument : arguments) {
        pointers.push_back(argument.data());
      }
      pointers.push_back(nullptr);
      pid_t pid = 0;
      if (posix_spawn(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) == 0) {
        workers_.push_back(pid);
      }
    }
  }
  ~Cluster() {
    for (const pid_t pid : workers_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Runs a job to its end, and returns the median of its iterations' seconds; below 0: see error().
  double MedianIteration(uint64_t iterations, const std::string& outer_optimizer) {
    if (!error_.empty()) {
      return -1;
    }
    const auto stub = v1::Training::NewStub(server_->InProcessChannel());
    v1::SubmitJobRequest request;
    google::protobuf::TextFormat::ParseFromString(
        absl::StrCat("model { linear { } } tasks { sinusoid { } } "
                     "algorithm { maml { inner_steps: 1 } } outer_optimizer { ",
                     outer_optimizer, " } meta_batch: ", kWorkers,
                     " tasks_per_shard: 1 evaluation { skip_final: true } "
                     "checkpoint { every_seconds: 3600 } iterations: ",
                     iterations),
        request.mutable_spec());
    v1::Job job;
    grpc::ClientContext submit;
    if (!Check(stub->SubmitJob(&submit, request, &job))) {
      return -1;
    }
    v1::WatchJobRequest watch;
    watch.set_id(job.id());
    grpc::ClientContext context;
    const auto reader = stub->WatchJob(&context, watch);
    std::vector<double> ends;
    for (v1::JobEvents events; reader->Read(&events);) {
      for (const v1::IterationRecord& record : events.iterations()) {
        ends.push_back(record.seconds());
      }
      if (events.has_job()) {
        job = events.job();
      }
    }
    if (!Check(reader->Finish())) {
      return -1;
    }
    if (job.state() != v1::JOB_STATE_SUCCEEDED || ends.size() != iterations) {
      error_ = absl::StrCat("the job ended as ", v1::JobState_Name(job.state()), " with ",
                            ends.size(), " iterations: ", job.failure_message());
      return -1;
    }
    // Buffers and connections grow to their sizes first.
    const size_t warm_up = ends.size() / 10;
    std::vector<double> seconds;
    for (size_t i = warm_up + 1; i < ends.size(); ++i) {
      seconds.push_back(ends[i] - ends[i - 1]);
    }
    std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
    return seconds[seconds.size() / 2];
  }
  const std::string& error() const { return error_; }

 private:
  bool Check(const grpc::Status& status) {
    if (!status.ok()) {
      error_ = status.error_message();
    }
    return status.ok();
  }

  std::string folder_;
  std::unique_ptr<server::Server> server_;
  std::vector<pid_t> workers_;
  std::string error_;
};

void Measure(benchmark::State& state, int64_t values, uint64_t iterations,
             const std::string& outer_optimizer) {
  for (auto _ : state) {
    Cluster cluster(values);
    const double median = cluster.MedianIteration(iterations, outer_optimizer);
    if (median < 0) {
      state.SkipWithError(cluster.error().c_str());
      return;
    }
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

}  // namespace
}  // namespace innerloop

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  innerloop::SendGrpcLogToOurs();
  int64_t values = 0;
  if (argc == 5 && argv[1] == std::string(innerloop::kWorkerFlag) &&
      absl::SimpleAtoi(argv[3], &values)) {
    return innerloop::RunWorker(argv[2], values, argv[4]);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
}
