// From a support set to predictions through gRPC: a coordinator in this process, and a worker
// process of one slot that has one core to itself. The times are medians over calls.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "client/api/adaptation_client.h"
#include "client/api/training_client.h"
#include "client/local/local_cluster.h"
#include "core/dataset/dataset.h"
#include "core/job/job_spec.h"
#include "core/rpc/grpc_log.h"
#include "core/support/clock.h"
#include "core/support/status_macros.h"
#include "server/server.h"

namespace innerloop {
namespace {

constexpr int kSize = 28;
constexpr int kWays = 5;
constexpr int kClasses = 10;
constexpr int kCalls = 200;

// `count` images of noise.
std::string Noise(int count) {
  uint32_t state = 1;
  std::string pixels(static_cast<size_t>(count) * kSize * kSize, '\0');
  for (char& pixel : pixels) {
    state = state * 1664525 + 1013904223;
    pixel = static_cast<char>(state >> 24);
  }
  return pixels;
}

absl::Status WriteNoise(const std::string& path) {
  DatasetContent content;
  content.name = "noise";
  content.example_shape = {kSize, kSize, 1};
  const std::string pixels = Noise(2 * kClasses);
  content.images.assign(pixels.begin(), pixels.end());
  for (int i = 0; i < 2 * kClasses; ++i) {
    content.labels.push_back(i / 2);
  }
  for (int i = 0; i < kClasses; ++i) {
    content.class_names.push_back(absl::StrCat("class", i));
  }
  return WriteDataset(content, path);
}

// A conv4 network of 64 filters, trained for one iteration, and those who compute with it. One
// thread only.
class AdaptedNetwork {
 public:
  AdaptedNetwork() : status_(Make()) {}
  ~AdaptedNetwork() {
    if (worker_ > 0) {
      kill(worker_, SIGKILL);
      waitpid(worker_, nullptr, 0);
    }
    client_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  AdaptedNetwork(const AdaptedNetwork&) = delete;
  AdaptedNetwork& operator=(const AdaptedNetwork&) = delete;

  const absl::Status& status() const { return status_; }
  // Five classes, one example each, and a query of each.
  absl::StatusOr<v1::AdaptResponse> Adapt(uint32_t steps) {
    v1::AdaptRequest request;
    request.set_checkpoint(job_);
    v1::Examples& inputs = *request.mutable_support()->mutable_inputs();
    for (const int64_t length : {kSize, kSize, 1}) {
      inputs.add_shape(length);
    }
    *request.mutable_queries() = inputs;
    inputs.set_uint8(Noise(kWays));
    request.mutable_queries()->set_uint8(Noise(kWays));
    for (uint32_t label = 0; label < kWays; ++label) {
      request.mutable_support()->add_labels(label);
    }
    request.mutable_rule()->set_inner_steps(steps);
    return client_->Adapt(request);
  }

 private:
  absl::Status Make() {
    std::string folder = (std::filesystem::temp_directory_path() / "innerloop-XXXXXX").string();
    folder_ = mkdtemp(folder.data());
    server::Options options;
    options.state_dir = absl::StrCat(folder_, "/state");
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "";
    INNERLOOP_ASSIGN_OR_RETURN(server_, server::Server::Create(options));
    StartWorker();
    client::ClientOptions to_server;
    to_server.coordinator = server_->address();
    client_ = std::make_unique<client::AdaptationClient>(to_server, cancellation_);
    client::TrainingClient training(to_server, cancellation_);
    const std::string data = absl::StrCat(folder_, "/noise.safetensors");
    INNERLOOP_RETURN_IF_ERROR(WriteNoise(data));
    INNERLOOP_RETURN_IF_ERROR(training.UploadDataSet("noise", data, nullptr).status());
    INNERLOOP_ASSIGN_OR_RETURN(
        const v1::JobSpec spec,
        ParseJobSpec(
            absl::StrCat("model { conv4 {} } tasks { episodes { dataset: \"noise\" ways: ", kWays,
                         " shots: 1 split { counts { train: 10 } } } } algorithm { maml { "
                         "inner_steps: 1 inner_optimizer { sgd { learning_rate: 0.4 } } } "
                         "} meta_batch: 1 iterations: 1 evaluation { skip_final: true }"),
            "the benchmark's job"));
    INNERLOOP_ASSIGN_OR_RETURN(v1::Job job, training.Submit(spec));
    INNERLOOP_ASSIGN_OR_RETURN(job, training.Watch(job.id(), 0, {.on_events = [](const auto&) {}}));
    job_ = job.id();
    return job.state() == v1::JOB_STATE_SUCCEEDED ? absl::OkStatus()
                                                  : absl::InternalError(job.failure_message());
  }

  // The real program, on the last core that this process may use.
  void StartWorker() {
    const std::string program = client::OwnProgramFolder() + "/innerloop-worker";
    const std::string address = server_->address();
    const std::string cache = absl::StrCat(folder_, "/cache");
    cpu_set_t cores;
    sched_getaffinity(0, sizeof(cores), &cores);
    int last = CPU_SETSIZE - 1;
    while (last > 0 && !CPU_ISSET(last, &cores)) {
      --last;
    }
    worker_ = fork();
    if (worker_ == 0) {
      CPU_ZERO(&cores);
      CPU_SET(last, &cores);
      sched_setaffinity(0, sizeof(cores), &cores);
      execl(program.c_str(), program.c_str(), "--coordinator", address.c_str(), "--slots", "1",
            "--cache-dir", cache.c_str(), "--log-level", "warning", "--die-with-parent", nullptr);
      _exit(127);
    }
  }

  std::string folder_;
  client::Cancellation cancellation_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<client::AdaptationClient> client_;
  pid_t worker_ = 0;
  std::string job_;
  const absl::Status status_;
};

void SupportSetToPredictions(benchmark::State& state) {
  const auto steps = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    AdaptedNetwork network;
    std::vector<double> seconds;
    absl::Status status = network.status();
    for (int call = 0; call < kCalls && status.ok(); ++call) {
      const absl::Duration began = Clock::Real().Monotonic();
      status = network.Adapt(steps).status();
      seconds.push_back(absl::ToDoubleSeconds(Clock::Real().Monotonic() - began));
    }
    if (!status.ok()) {
      state.SkipWithError(std::string(status.message()).c_str());
      return;
    }
    // The first one sends the parameters.
    state.counters["first"] = seconds.front();
    std::sort(seconds.begin(), seconds.end());
    state.SetIterationTime(seconds[kCalls / 2]);
    state.counters["p95"] = seconds[kCalls * 95 / 100];
  }
}
BENCHMARK(SupportSetToPredictions)
    ->Arg(3)
    ->Arg(10)
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace innerloop

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  innerloop::SendGrpcLogToOurs();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
}
