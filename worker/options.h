// What an operator can set; main.cc fills it from flags.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/rpc/credentials.h"

namespace innerloop::worker {

struct Options {
  // host:port of the coordinator.
  std::string coordinator = "127.0.0.1:7400";
  // All three or none; read at every connection, so that new files serve without a restart.
  TlsFiles tls;
  // As people see it in `innerloop workers`, at most 200 characters.
  std::string name;
  // Compute threads, 1..1024. More than there are cores makes everything slower.
  int slots = 1;
  // Folder that data sets are kept in by hash; made when it is not there. Several workers may share
  // it.
  std::string cache_dir;
  // Most bytes of data sets in it; those unused for longest go first. A job whose data set does not
  // fit beside those in use is declined.
  uint64_t max_cache_bytes = uint64_t{20} << 30;
  // Most bytes of parameters that are held at a time, over all jobs and versions.
  uint64_t max_parameter_bytes = uint64_t{8} << 30;
  // SHA-256 of the TorchScript models that jobs may bring, lower-case hex. TorchScript is no
  // sandbox: a model may read what this process may read.
  std::vector<std::string> allowed_models;
  // Most writable memory of a process that runs such a model; each slot that computes one has one.
  uint64_t model_memory_bytes = uint64_t{4} << 30;
  // Back-off between attempts to connect: grows from the first to the last, with jitter.
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration last_backoff = absl::Seconds(5);
  // A coordinator that takes the connection but does not answer is given up after so long.
  absl::Duration welcome_timeout = absl::Seconds(20);
  // host:port shown to the coordinator for /metrics; empty: none.
  std::string metrics_address;
};

}  // namespace innerloop::worker
