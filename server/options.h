// What an operator can set; main.cc fills it from flags.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "core/rpc/credentials.h"

namespace innerloop::server {

struct Options {
  // Folder of the coordinator's durable state; made when it is not there. One coordinator at a
  // time.
  std::string state_dir = "innerloop-state";
  // Serves what is stored and goes on with no job: for a look at a copy of a state folder.
  bool at_rest = false;
  // host:port for gRPC; port 0 takes any free one.
  std::string listen = "127.0.0.1:7400";
  // host:port for /metrics; empty: none.
  std::string metrics_listen = "127.0.0.1:7401";
  // All three or none. With them gRPC is under TLS, and callers need a certificate or a token.
  TlsFiles tls;
  // Listen beyond loopback without TLS; the second for /metrics alone, which is always plaintext.
  bool insecure = false;
  bool insecure_metrics = false;
  // A worker that is silent for so long is lost.
  absl::Duration worker_timeout = absl::Seconds(10);
  // Most scalars of a job's meta-parameters; 1 GB of float32 by default.
  uint64_t max_parameters = 250'000'000;
  // Most jobs that have not ended.
  uint32_t max_jobs = 1000;
  // Most bytes of all data sets together, and as many of users' models; most of one uploaded
  // checkpoint.
  uint64_t data_set_quota = uint64_t{64} << 30;
  uint64_t max_checkpoint_bytes = uint64_t{4} << 30;
  // Folder of TensorBoard's event files, one inside it for each job; empty: none are written.
  std::string tensorboard_dir;
  // Ended jobs go, with their history and checkpoints, after so long; 0: never.
  absl::Duration job_retention = absl::ZeroDuration();
  // How long an ended job's series stay on /metrics.
  absl::Duration metrics_retention = absl::Minutes(5);
};

}  // namespace innerloop::server
