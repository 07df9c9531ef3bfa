#include "tests/benchmarks/idle_cluster.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/certificates/authority.h"
#include "core/meta/program.h"
#include "core/rpc/call_headers.h"
#include "core/rpc/certificate.h"
#include "core/rpc/channel_arguments.h"
#include "core/rpc/credentials.h"
#include "core/support/die_with_parent.h"
#include "google/protobuf/text_format.h"
#include "innerloop/v1/access.grpc.pb.h"
#include "server/ticker.h"
#include "worker/metrics.h"
#include "worker/worker.h"

namespace innerloop {
namespace {

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
  absl::StatusOr<meta::AdaptationOutput> Adapt(const FlatBuffer& /*parameters*/,
                                               const v1::AdaptationTask&) const override {
    return absl::UnimplementedError("the benchmark adapts nothing");
  }
  absl::StatusOr<v1::EvaluationSums> RunEvaluation(const FlatBuffer& /*parameters*/,
                                                   const v1::EvaluationShard&) const override {
    return absl::UnimplementedError("the benchmark evaluates nothing");
  }

 private:
  Layout layout_;
};

// Files of a folder that `certs issue` made; none without a folder.
TlsFiles FilesOf(const std::string& folder) {
  if (folder.empty()) {
    return {};
  }
  return {.cert = absl::StrCat(folder, "/cert.pem"),
          .key = absl::StrCat(folder, "/key.pem"),
          .ca = absl::StrCat(folder, "/ca.pem")};
}

// Follows a job to its end, in a process of its own: a watch's reading thread in the coordinator's
// process would take the workers' messages from the threads that wait for them. With the file of an
// authority under TLS, as the token's holder.
int RunWatch(const std::string& coordinator, const std::string& id, const std::string& ca,
             const std::string& token) {
  DieWithParent();
  const auto stub = v1::Training::NewStub(MakeChannelWithHeaders(
      coordinator, MakeChannelCredentials({.ca = ca}).value(), ClientArguments(), token));
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
int RunWorker(const std::string& coordinator, int64_t values, const std::string& folder,
              const std::string& tls_folder) {
  DieWithParent();
  const auto metrics = worker::Metrics::Create(/*listen=*/"", {});
  worker::Options options;
  options.coordinator = coordinator;
  options.tls = FilesOf(tls_folder);
  options.name = "benchmark";
  options.cache_dir = folder;
  const auto worker = worker::Worker::Create(
      options,
      {.create_program = [values](const v1::JobDescription&, std::shared_ptr<const Dataset>,
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

}  // namespace

bool RunPartOfCluster(int argc, char** argv, int* exit_code) {
  int64_t values = 0;
  if (argc == 6 && argv[1] == std::string(kWorkerFlag) && absl::SimpleAtoi(argv[3], &values)) {
    *exit_code = RunWorker(argv[2], values, argv[4], argv[5]);
    return true;
  }
  if (argc == 6 && argv[1] == std::string(kWatchFlag)) {
    *exit_code = RunWatch(argv[2], argv[3], argv[4], argv[5]);
    return true;
  }
  return false;
}

IdleCluster::IdleCluster(int64_t values, bool tls, int workers) {
  std::string folder = (std::filesystem::temp_directory_path() / "innerloop-XXXXXX").string();
  folder_ = mkdtemp(folder.data());
  server::Options options;
  options.state_dir = absl::StrCat(folder_, "/state");
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "127.0.0.1:0";
  if (tls) {
    options.tls = FilesOf(Issue(kRoleCoordinator));
    tls_folder_ = Issue(kRoleWorker);
  }
  auto server = server::Server::Create(options);
  if (!server.ok()) {
    error_ = std::string(server.status().message());
    return;
  }
  server_ = *std::move(server);
  for (int i = 0; i < workers; ++i) {
    workers_.push_back(Spawn({kWorkerFlag, server_->address(), std::to_string(values),
                              absl::StrCat(folder_, "/cache"), tls_folder_}));
  }
}
IdleCluster::~IdleCluster() {
  for (const pid_t pid : workers_) {
    if (pid > 0) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  server_.reset();
  std::filesystem::remove_all(folder_);
}

std::vector<double> IdleCluster::Run(uint64_t iterations, const std::string& outer_optimizer,
                                     bool observed) {
  const std::string id = Submit(iterations, outer_optimizer);
  if (observed && error_.empty()) {
    const server::Ticker scraping(absl::Seconds(1), [this] { Scrape(); });
    const pid_t watch = Spawn({kWatchFlag, server_->address(), id, FilesOf(tls_folder_).ca,
                               tls_folder_.empty() ? "" : NewToken()});
    int status = 1;
    if (watch == 0 || waitpid(watch, &status, 0) != watch || status != 0) {
      error_ = "the watch failed";
    }
  }
  AwaitEnd(id);
  return History(id, iterations);
}

std::string IdleCluster::Issue(const std::string& role) {
  const std::string authority = absl::StrCat(folder_, "/authority");
  std::string out = absl::StrCat(folder_, "/", role);
  if (!std::filesystem::exists(authority)) {
    error_ = std::string(client::MakeAuthority(authority, "bench", absl::Now()).message());
  }
  const absl::Status issued =
      client::IssueCertificate(authority, {.role = role, .name = "benchmark"}, out, absl::Now());
  if (!issued.ok()) {
    error_ = std::string(issued.message());
  }
  return out;
}

std::string IdleCluster::NewToken() {
  v1::CreateTokenRequest request;
  request.set_name("benchmark");
  request.set_role(v1::ROLE_VIEWER);
  v1::CreateTokenResponse response;
  grpc::ClientContext context;
  Check(
      v1::Access::NewStub(server_->InProcessChannel())->CreateToken(&context, request, &response));
  return response.secret();
}

std::string IdleCluster::Submit(uint64_t iterations, const std::string& outer_optimizer) {
  if (!error_.empty()) {
    return "";
  }
  stub_ = v1::Training::NewStub(server_->InProcessChannel());
  v1::SubmitJobRequest request;
  google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("model { linear { } } tasks { sinusoid { } } "
                   "algorithm { maml { inner_steps: 1 } } outer_optimizer { ",
                   outer_optimizer, " } meta_batch: ", workers_.size(),
                   " tasks_per_shard: 1 evaluation { skip_final: true } "
                   "checkpoint { every_seconds: 3600 } iterations: ",
                   iterations),
      request.mutable_spec());
  v1::Job job;
  grpc::ClientContext context;
  return Check(stub_->SubmitJob(&context, request, &job)) ? job.id() : "";
}

std::vector<double> IdleCluster::History(const std::string& id, uint64_t iterations) {
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

void IdleCluster::AwaitEnd(const std::string& id) {
  v1::GetJobRequest request;
  request.set_id(id);
  v1::Job job;
  while (error_.empty() && !job.has_ended()) {
    absl::SleepFor(absl::Milliseconds(100));
    grpc::ClientContext context;
    Check(stub_->GetJob(&context, request, &job));
  }
}

void IdleCluster::Scrape() {
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

bool IdleCluster::Check(const grpc::Status& status) {
  if (!status.ok()) {
    error_ = status.error_message();
  }
  return status.ok();
}

}  // namespace innerloop
