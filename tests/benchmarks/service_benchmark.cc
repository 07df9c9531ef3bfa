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

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "benchmark/benchmark.h"
#include "core/meta/program.h"
#include "core/rpc/channel_arguments.h"
#include "core/rpc/grpc_log.h"
#include "core/support/die_with_parent.h"
#include "google/protobuf/text_format.h"
#include "innerloop/v1/training.grpc.pb.h"
#include "server/server.h"
#include "server/ticker.h"
#include "worker/metrics.h"
#include "worker/worker.h"

namespace innerloop {
namespace {

constexpr int kWorkers = 2;
constexpr char kWorkerFlag[] = "--worker";
constexpr char kWatchFlag[] = "--watch";

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
  absl::StatusOr<int64_t> EstimatePeakBytes() const override { return 0; }
  int64_t MeasuredPeakBytes() const override { return 0; }
  absl::StatusOr<v1::EvaluationSums> RunEvaluation(const FlatBuffer& /*parameters*/,
                                                   const v1::EvaluationShard&) const override {
    return absl::UnimplementedError("the benchmark evaluates nothing");
  }

 private:
  Layout layout_;
};

// Follows a job to its end, in a process of its own: a watch's reading thread in the coordinator's
// process would take the workers' messages from the threads that wait for them.
int RunWatch(const std::string& coordinator, const std::string& id) {
  DieWithParent();
  const auto stub = v1::Training::NewStub(grpc::CreateCustomChannel(
      coordinator, grpc::InsecureChannelCredentials(), ClientArguments()));
  v1::WatchJobRequest request;
  request.set_id(id);
  grpc::ClientContext context;
  const auto reader = stub->WatchJob(&context, request);
  v1::JobEvents events;
  while (reader->Read(&events)) {
  }
  return reader->Finish().ok() ? 0 : 1;
}

// This program again, with other arguments; 0 when it cannot be started.
pid_t Spawn(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/proc/self/exe");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) {
    pointers.push_back(argument.data());
  }
  pointers.push_back(nullptr);
  pid_t pid = 0;
  return posix_spawn(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) == 0 ? pid : 0;
}

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
      workers_.push_back(Spawn({kWorkerFlag, server_->address(), std::to_string(values),
                                absl::StrCat(folder_, "/cache")}));
    }
  }
  ~Cluster() {
    for (const pid_t pid : workers_) {
      if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
      }
    }
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Runs a job to its end, while somebody watches it and Prometheus asks for its metrics once a
  // second, or while nobody does. Returns when each iteration ended, in seconds of training;
  // nothing: see error().
  std::vector<double> Run(uint64_t iterations, const std::string& outer_optimizer, bool observed) {
    const std::string id = Submit(iterations, outer_optimizer);
    if (observed && error_.empty()) {
      const server::Ticker scraping(absl::Seconds(1), [this] { Scrape(); });
      const pid_t watch = Spawn({kWatchFlag, server_->address(), id});
      int status = 1;
      if (watch == 0 || waitpid(watch, &status, 0) != watch || status != 0) {
        error_ = "the watch failed";
      }
    }
    AwaitEnd(id);
    return History(id, iterations);
  }
  const std::string& error() const { return error_; }

 private:
  // The job's id; empty when there is an error.
  std::string Submit(uint64_t iterations, const std::string& outer_optimizer) {
    if (!error_.empty()) {
      return "";
    }
    stub_ = v1::Training::NewStub(server_->InProcessChannel());
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
    grpc::ClientContext context;
    return Check(stub_->SubmitJob(&context, request, &job)) ? job.id() : "";
  }

  // Of a job that has ended.
  std::vector<double> History(const std::string& id, uint64_t iterations) {
    if (!error_.empty()) {
      return {};
    }
    v1::WatchJobRequest watch;
    watch.set_id(id);
    grpc::ClientContext context;
    const auto reader = stub_->WatchJob(&context, watch);
    std::vector<double> ends;
    v1::Job job;
    for (v1::JobEvents events; reader->Read(&events);) {
      for (const v1::IterationRecord& record : events.iterations()) {
        ends.push_back(record.seconds());
      }
      if (events.has_job()) {
        job = events.job();
      }
    }
    if (!Check(reader->Finish())) {
      return {};
    }
    if (job.state() != v1::JOB_STATE_SUCCEEDED || ends.size() != iterations) {
      error_ = absl::StrCat("the job ended as ", v1::JobState_Name(job.state()), " with ",
                            ends.size(), " iterations: ", job.failure_message());
      return {};
    }
    return ends;
  }

  // Without a watch, whose cost is measured.
  void AwaitEnd(const std::string& id) {
    v1::GetJobRequest request;
    request.set_id(id);
    v1::Job job;
    while (error_.empty() && !job.has_ended()) {
      absl::SleepFor(absl::Milliseconds(100));
      grpc::ClientContext context;
      Check(stub_->GetJob(&context, request, &job));
    }
  }

  // Asks for the metrics page, as Prometheus does.
  void Scrape() {
    const std::string address = server_->metrics_address();
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    std::string page;
    char piece[4096];
    if (connect(connection, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 &&
        write(connection, request.data(), request.size()) > 0) {
      for (ssize_t got = 0; (got = read(connection, piece, sizeof(piece))) > 0;) {
        page.append(piece, static_cast<size_t>(got));
      }
    }
    close(connection);
    if (page.find("innerloop_iterations_total") == std::string::npos) {
      std::fprintf(stderr, "the metrics page says: %s\n", page.c_str());
    }
  }

  bool Check(const grpc::Status& status) {
    if (!status.ok()) {
      error_ = status.error_message();
    }
    return status.ok();
  }

  std::string folder_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<v1::Training::Stub> stub_;
  std::vector<pid_t> workers_;
  std::string error_;
};

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
    Cluster cluster(values);
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
    Cluster cluster(/*values=*/1'761);
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
  if (argc == 4 && argv[1] == std::string(innerloop::kWatchFlag)) {
    return innerloop::RunWatch(argv[2], argv[3]);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
}
