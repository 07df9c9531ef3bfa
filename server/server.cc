#include "server/server.h"

#include <atomic>
#include <filesystem>
#include <system_error>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <spdlog/spdlog.h>

#include "absl/base/call_once.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/rpc/channel_arguments.h"
#include "core/rpc/checked_credentials.h"
#include "core/rpc/listen_address.h"
#include "core/support/clock.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "server/access/gate.h"
#include "server/coordinator.h"
#include "server/service/access_service.h"
#include "server/service/adaptation_service.h"
#include "server/service/training_service.h"
#include "server/service/upkeep.h"
#include "server/service/work_service.h"
#include "server/storage/state_snapshot.h"
#include "server/ticker.h"

namespace innerloop::server {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
// Each watch and each transfer of a file holds a thread; calls beyond these are refused with
// RESOURCE_EXHAUSTED.
constexpr int kMostThreads = 256;
// What calls that are under way get, once the coordinator has stopped.
constexpr absl::Duration kDrain = absl::Seconds(2);

// `remedy`: what lets it be reached from other machines.
absl::Status CheckAddress(absl::string_view flag, const std::string& address, bool allowed,
                          absl::string_view remedy) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": ", parsed.status().message()));
  }
  if (!allowed && !IsLoopback(parsed->host)) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, "=", address, " can be reached from other machines without protection: ", remedy,
        " if that is meant, or listen on 127.0.0.1"));
  }
  return absl::OkStatus();
}

Gate::Mode ModeOf(const Options& options) {
  if (!options.tls.empty()) {
    return Gate::Mode::kTls;
  }
  const absl::StatusOr<HostPort> listen = ParseHostPort(options.listen);
  return listen.ok() && IsLoopback(listen->host) ? Gate::Mode::kLoopback : Gate::Mode::kOpen;
}

class AssembledServer final : public Server {
 public:
  AssembledServer(const Options& options, std::unique_ptr<StateStore> state,
                  std::unique_ptr<TokenStore> tokens, std::unique_ptr<Metrics> metrics)
      : options_(options),
        state_(std::move(state)),
        tokens_(std::move(tokens)),
        gate_(std::make_unique<Gate>(*tokens_, ModeOf(options))),
        access_(*tokens_),
        metrics_(std::move(metrics)),
        checkpoints_(options.state_dir, FileSystem::Real()),
        data_sets_(options.state_dir, options.data_set_quota, *state_),
        boards_(options.tensorboard_dir, Clock::Real()),
        recorder_(*state_, checkpoints_, Clock::Real(),
                  options.tensorboard_dir.empty() ? nullptr : &boards_) {}

  ~AssembledServer() override { Stop(absl::ZeroDuration()); }

  absl::Status Start() {
    INNERLOOP_ASSIGN_OR_RETURN(coordinator_,
                               Coordinator::Create(options_, {.state = *state_,
                                                              .checkpoints = checkpoints_,
                                                              .data_sets = data_sets_,
                                                              .recorder = recorder_,
                                                              .metrics = *metrics_,
                                                              .clock = Clock::Real()}));
    training_ = std::make_unique<TrainingService>(
        options_, TrainingService::Parts{.coordinator = *coordinator_,
                                         .state = *state_,
                                         .checkpoints = checkpoints_,
                                         .data_sets = data_sets_,
                                         .recorder = recorder_,
                                         .gate = *gate_});
    upkeep_ =
        std::make_unique<UpkeepService>(options_, UpkeepService::Parts{.coordinator = *coordinator_,
                                                                       .state = *state_,
                                                                       .recorder = recorder_,
                                                                       .clock = Clock::Real(),
                                                                       .gate = *gate_});
    adaptation_ = std::make_unique<AdaptationService>(*coordinator_, Clock::Real());
    work_ =
        std::make_unique<WorkService>(*coordinator_, data_sets_, *metrics_, WorkService::Options());

    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetServerArguments(builder);
    grpc::ResourceQuota quota("innerloop-coordinator");
    quota.SetMaxThreads(kMostThreads);
    builder.SetResourceQuota(quota);
    int port = 0;
    INNERLOOP_ASSIGN_OR_RETURN(
        const auto credentials,
        MakeServerCredentials(options_.tls,
                              [this](const IncomingCall& call) { return gate_->Check(call); }));
    builder.AddListeningPort(options_.listen, credentials, &port);
    builder.RegisterService(&access_);
    builder.RegisterService(adaptation_.get());
    builder.RegisterService(training_.get());
    builder.RegisterService(upkeep_.get());
    builder.RegisterService(work_.get());
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr || port == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options_.listen,
                       ": the port is taken, or the address is not this machine's"));
    }
    address_ = absl::StrCat(options_.listen.substr(0, options_.listen.rfind(':')), ":", port);
    ticker_ = std::make_unique<Ticker>(kTick, [this] { coordinator_->Tick(); });
    return absl::OkStatus();
  }

  std::string address() const override { return address_; }
  std::string metrics_address() const override { return metrics_->address(); }
  std::shared_ptr<grpc::Channel> InProcessChannel() override {
    return grpc_->InProcessChannel(ClientArguments());
  }

  void Stop(absl::Duration patience) override {
    absl::call_once(stopped_, [this, patience] {
      if (coordinator_ != nullptr) {
        coordinator_->Stop(patience);
      }
      ticker_.reset();
      if (adaptation_ != nullptr) {
        adaptation_->Stop();
      }
      if (training_ != nullptr) {
        training_->Stop();
      }
      if (upkeep_ != nullptr) {
        upkeep_->Stop();
      }
      if (grpc_ != nullptr) {
        grpc_->Shutdown(absl::ToChronoTime(absl::Now() + kDrain));
        grpc_->Wait();
      }
      if (const absl::Status flushed = recorder_.Flush(); !flushed.ok()) {
        spdlog::error("not all is written: {}", flushed.ToString());
      }
    });
  }

 private:
  // In the order of their making: what comes later uses what comes before. The recorder calls the
  // coordinator back, but Stop leaves nothing queued.
  const Options options_;
  const std::unique_ptr<StateStore> state_;
  const std::unique_ptr<TokenStore> tokens_;
  const std::unique_ptr<Gate> gate_;
  AccessService access_;
  const std::unique_ptr<Metrics> metrics_;
  CheckpointStore checkpoints_;
  DataSetStore data_sets_;
  JobBoards boards_;
  Recorder recorder_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<AdaptationService> adaptation_;
  std::unique_ptr<TrainingService> training_;
  std::unique_ptr<UpkeepService> upkeep_;
  std::unique_ptr<WorkService> work_;
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<Ticker> ticker_;
  std::string address_;
  absl::once_flag stopped_;
};

absl::StatusOr<std::unique_ptr<Server>> Assemble(const Options& options) {
  std::error_code ignored;  // the store says what is wrong with the folder
  const bool made = std::filesystem::create_directories(options.state_dir, ignored);
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<StateStore> state,
                             StateStore::Open(options.state_dir));
  std::unique_ptr<AssembledServer> server;
  // Nothing half-made stays behind. While `state` or `server` has the folder's lock, it is no other
  // coordinator's.
  absl::Cleanup remove_again = [&] {
    if (made) {
      std::filesystem::remove_all(options.state_dir, ignored);
    }
  };
  StateSnapshot::RemoveAll(options.state_dir);
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<TokenStore> tokens,
                             TokenStore::Open(options.state_dir, Clock::Real()));
  INNERLOOP_ASSIGN_OR_RETURN(const absl::Time certificate_end, CertificateEnd(options.tls));
  INNERLOOP_ASSIGN_OR_RETURN(
      std::unique_ptr<Metrics> metrics,
      Metrics::Create(options.metrics_listen, options.state_dir, certificate_end));
  server = std::make_unique<AssembledServer>(options, std::move(state), std::move(tokens),
                                             std::move(metrics));
  INNERLOOP_RETURN_IF_ERROR(server->Start());
  std::move(remove_again).Cancel();
  return server;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Create(const Options& options) {
  INNERLOOP_RETURN_IF_ERROR(CheckComplete(options.tls));
  INNERLOOP_RETURN_IF_ERROR(CheckAddress("--listen", options.listen,
                                         options.insecure || !options.tls.empty(),
                                         "give --tls-cert, --tls-key and --tls-ca, or --insecure"));
  if (!options.metrics_listen.empty()) {
    INNERLOOP_RETURN_IF_ERROR(CheckAddress("--metrics-listen", options.metrics_listen,
                                           options.insecure || options.insecure_metrics,
                                           "give --insecure-metrics"));
  }
  if (!options.tensorboard_dir.empty()) {
    if (const absl::Status made = FileSystem::Real().MakeFolder(options.tensorboard_dir);
        !made.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--tensorboard-dir: ", made.message()));
    }
  }
  return Assemble(options);
}

}  // namespace innerloop::server
