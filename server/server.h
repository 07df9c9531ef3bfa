#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/options.h"

namespace innerloop::server {

// A whole coordinator: state, metrics, services, the gRPC server and the timer, put together from
// its options. Made by main, and by tests and benchmarks in their own process. Thread-safe.
class Server {
 public:
  // Serves when it returns. INVALID_ARGUMENT for bad options, FAILED_PRECONDITION for a state
  // folder in use, UNAVAILABLE for an address that cannot be listened on, DATA_LOSS for damaged
  // state.
  static absl::StatusOr<std::unique_ptr<Server>> Create(const Options& options);
  // Stops first, without patience, when nobody did.
  virtual ~Server() = default;

  // HOST:PORT as they are listened on, with the port that was found for port 0.
  virtual std::string address() const = 0;
  // Empty when no metrics are served.
  virtual std::string metrics_address() const = 0;
  // A connection without a network.
  virtual std::shared_ptr<grpc::Channel> InProcessChannel() = 0;

  // Finishes the iterations under way, checkpoints, tells workers and watchers; returns when all
  // is durable: unless the disk hangs, at the latest some seconds after `patience`.
  virtual void Stop(absl::Duration patience) = 0;
};

}  // namespace innerloop::server
