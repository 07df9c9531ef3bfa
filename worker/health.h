// The standard gRPC health service of a worker.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include "absl/status/statusor.h"

namespace innerloop::worker {

// SERVING while the worker is connected. Made by main.cc; thread-safe.
class HealthServer {
 public:
  // `listen`: host:port, port 0 takes any. UNAVAILABLE names the address when it cannot be bound.
  static absl::StatusOr<std::unique_ptr<HealthServer>> Create(const std::string& listen);
  ~HealthServer();
  void SetServing(bool serving);
  // host:port that is served.
  const std::string& address() const { return address_; }

 private:
  HealthServer() = default;
  // Refuses every other call; a server must have a service of somebody's.
  grpc::CallbackGenericService others_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace innerloop::worker
