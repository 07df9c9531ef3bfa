#pragma once

#include <grpc/support/log.h>
#include <spdlog/spdlog.h>

namespace innerloop {

// gRPC's own lines about what it tries join the log at level debug: what fails reaches callers as
// statuses. Call once, after SetUpLogging.
inline void SendGrpcLogToOurs() {
  gpr_set_log_function([](gpr_log_func_args* args) { spdlog::debug("grpc: {}", args->message); });
}

}  // namespace innerloop
