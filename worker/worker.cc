#include "worker/worker.h"

#include <algorithm>
#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <spdlog/spdlog.h>

#include "absl/memory/memory.h"
#include "core/rpc/channel_arguments.h"
#include "core/rpc/credentials.h"
#include "core/rpc/explain_connection.h"
#include "core/support/status_macros.h"
#include "core/support/version.h"

namespace innerloop::worker {
namespace {

constexpr uint32_t kProtocolVersion = 1;
// Slots are looked at so often while there is no coordinator to send heartbeats to.
constexpr absl::Duration kIdleCheck = absl::Seconds(1);
constexpr absl::Duration kExplainPatience = absl::Seconds(3);
constexpr absl::Duration kFastestHeartbeat = absl::Milliseconds(1);
// A coordinator that does not close a drained stream within this is left.
constexpr absl::Duration kCloseTimeout = absl::Seconds(5);

v1::Hello MakeHello(const Options& options, const v1::NumericsFingerprint& fingerprint) {
  v1::Hello hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_version(kVersion);
  hello.set_name(options.name);
  hello.set_slots(static_cast<uint32_t>(options.slots));
  *hello.mutable_fingerprint() = fingerprint;
  hello.set_metrics_address(options.metrics_address);
  return hello;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Create(const Options& options,
                                                       Dependencies dependencies) {
  INNERLOOP_ASSIGN_OR_RETURN(
      auto data_sets,
      DataSetCache::Create(options.cache_dir, options.max_cache_bytes, dependencies.metrics));
  return absl::WrapUnique(new Worker(options, std::move(dependencies), std::move(data_sets)));
}

Worker::Worker(const Options& options, Dependencies dependencies,
               std::unique_ptr<DataSetCache> data_sets)
    : options_(options),
      dependencies_(std::move(dependencies)),
      data_sets_(std::move(data_sets)),
      backoff_(options.first_backoff, options.last_backoff, dependencies_.uniform),
      context_{
          MakeHello(options, dependencies_.fingerprint),
          dependencies_.create_program,
          MaxParameters(options.max_parameter_bytes),
          {options.allowed_models.begin(), options.allowed_models.end()},
          std::make_shared<ParameterMemory>(options.max_parameter_bytes, dependencies_.metrics),
          *data_sets_,
          slots_,
          dependencies_.metrics},
      slots_(options.slots, dependencies_.prepare_thread, dependencies_.clock,
             dependencies_.metrics) {}

Worker::~Worker() { data_sets_->CancelFetches(); }

absl::Status Worker::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (draining_) {
        return absl::OkStatus();
      }
      state_ = State::kConnecting;
    }
    const auto credentials = MakeChannelCredentials(options_.tls);
    if (credentials.ok()) {
      INNERLOOP_RETURN_IF_ERROR(Connect(*credentials));
    } else {
      OnClosed(credentials.status());
    }
    if (AwaitDrain(WaitAfterClose())) {
      return absl::OkStatus();
    }
    INNERLOOP_RETURN_IF_ERROR(CheckSlots());
    dependencies_.metrics.OnReconnect();
  }
}

absl::Status Worker::Connect(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  // Of its own, so that it connects at once instead of waiting out a back-off of gRPC's.
  const auto channel =
      grpc::CreateCustomChannel(options_.coordinator, credentials, ClientArguments());
  const auto session =
      std::make_shared<Session>(context_, channel, static_cast<SessionListener&>(*this));
  session->Start();
  absl::Status hung = Serve(*session);
  session->Cancel(absl::CancelledError("the worker leaves"));
  session->AwaitClosed();
  return hung;
}

std::string Worker::WhyClosed() {
  absl::Status why;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) {
      return "";
    }
    why = closed_with_;
  }
  if (absl::IsUnavailable(why)) {
    const absl::Status explained =
        ExplainConnection(options_.coordinator, options_.tls, kExplainPatience);
    why = explained.ok() ? why : explained;
  }
  return std::string(why.message());
}

absl::Duration Worker::WaitAfterClose() {
  const std::string why = WhyClosed();
  absl::MutexLock lock(&mu_);
  if (connected_at_.has_value()) {
    // A coordinator that keeps sending its workers away is not asked more and more often.
    if (dependencies_.clock.Monotonic() - *connected_at_ > options_.last_backoff) {
      backoff_.Reset();
    }
    connected_at_.reset();
    complaint_.clear();
  }
  if (!draining_) {
    // The first time at a level that people see; then it is no news.
    spdlog::log(why == complaint_ ? spdlog::level::debug : spdlog::level::warn,
                "no connection to the coordinator at {} ({}); trying on", options_.coordinator,
                why);
    complaint_ = why;
  }
  return backoff_.Next();
}

absl::Status Worker::Serve(Session& session) {
  const Clock& clock = dependencies_.clock;
  const absl::Duration began = clock.Monotonic();
  State seen = State::kConnecting;
  bool told_to_drain = false;
  std::optional<absl::Duration> drained_at;
  while (true) {
    bool drain = false;
    {
      absl::MutexLock lock(&mu_);
      const absl::Duration wait = seen == State::kConnected ? heartbeat_ : kIdleCheck;
      const auto news = [this, told_to_drain, seen]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return state_ != seen || (draining_ && !told_to_drain);
      };
      mu_.AwaitWithTimeout(absl::Condition(&news), wait);
      seen = state_;
      drain = draining_ && !told_to_drain;
    }
    if (seen == State::kClosed) {
      return absl::OkStatus();
    }
    INNERLOOP_RETURN_IF_ERROR(CheckSlots());
    if (seen == State::kConnecting) {
      if (drain) {
        return absl::OkStatus();
      }
      if (clock.Monotonic() - began > options_.welcome_timeout) {
        session.Cancel(absl::DeadlineExceededError("the coordinator does not answer"));
      }
      continue;
    }
    if (drain) {
      spdlog::info("draining");
      session.Drain();
      told_to_drain = true;
    }
    if (told_to_drain && session.drained()) {
      drained_at = drained_at.value_or(clock.Monotonic());
      if (clock.Monotonic() - *drained_at > kCloseTimeout) {
        return absl::OkStatus();
      }
    }
    session.Heartbeat();
  }
}

absl::Status Worker::CheckSlots() const {
  if (const auto overdue = slots_.Overdue(); overdue.has_value()) {
    return absl::InternalError(*overdue);
  }
  return absl::OkStatus();
}

bool Worker::AwaitDrain(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&draining_), timeout);
}

void Worker::Drain() {
  absl::MutexLock lock(&mu_);
  draining_ = true;
}

void Worker::OnWelcome(const v1::Welcome& welcome) {
  spdlog::info("connected to {} as {}", options_.coordinator, welcome.worker_id());
  dependencies_.metrics.OnConnected(true);
  dependencies_.on_connected(true);
  absl::MutexLock lock(&mu_);
  // Twice as often as asked for, so that a late one does no harm.
  heartbeat_ = std::clamp(absl::Seconds(welcome.heartbeat_seconds() / 2), kFastestHeartbeat,
                          absl::Minutes(1));
  state_ = State::kConnected;
  connected_at_ = dependencies_.clock.Monotonic();
}

void Worker::OnClosed(const absl::Status& status) {
  dependencies_.metrics.OnConnected(false);
  dependencies_.on_connected(false);
  absl::MutexLock lock(&mu_);
  state_ = State::kClosed;
  closed_with_ = status;
}

}  // namespace innerloop::worker
