// A coordinator that calls go to: its channel, and what becomes of a call that fails.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/api/cancellation.h"
#include "client/api/retry.h"
#include "client/api/security.h"
#include "core/support/clock.h"
#include "core/support/status_macros.h"

namespace innerloop::client {

struct ClientOptions {
  // HOST:PORT of the coordinator.
  std::string coordinator = "127.0.0.1:7400";
  // Of each attempt of a unary call except Evaluate, which waits for its result.
  absl::Duration call_deadline = absl::Seconds(30);
  // How long the coordinator may be away: for short calls, where a person waits for the answer, and
  // for watches and transfers, which outlast its restart.
  absl::Duration call_patience = absl::Seconds(3);
  absl::Duration stream_patience = absl::Minutes(2);
  // Read when a connection is made.
  SecurityOptions security;
  const Clock* clock = &Clock::Real();
};

// What the clients of all services share. Thread-safe.
class Connection {
 public:
  enum class Repeat { kNever, kWhileAway };

  // `cancellation` outlives it. Where certificates or token cannot be used, every call fails with
  // the reason.
  Connection(ClientOptions options, Cancellation& cancellation);

  const ClientOptions& options() const { return options_; }
  Cancellation& cancellation() const { return cancellation_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // For an operation that outlasts a coordinator's restart.
  Retry Patient() const { return {options_.stream_patience, *options_.clock, cancellation_}; }

  // A call's status as the caller shall see it.
  absl::Status Convert(const grpc::Status& status) const;

  // One unary call with deadline, cancellation and retries.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const Request& request, Repeat repeat, absl::Duration deadline) const {
    Retry retry(options_.call_patience, *options_.clock, cancellation_);
    while (true) {
      grpc::ClientContext context;
      if (deadline != absl::InfiniteDuration()) {
        context.set_deadline(std::chrono::system_clock::now() +
                             absl::ToChronoMilliseconds(deadline));
      }
      Response response;
      absl::Status status;
      {
        const Cancellation::Scope scope(cancellation_, context);
        status = Convert((stub.*method)(&context, request, &response));
      }
      if (status.ok()) {
        return response;
      }
      if (repeat == Repeat::kNever) {
        return status;
      }
      INNERLOOP_RETURN_IF_ERROR(retry.Again(status));
    }
  }

 private:
  const ClientOptions options_;
  Cancellation& cancellation_;
  const absl::StatusOr<Security> security_;
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace innerloop::client
