// A coordinator in this process and worker processes that compute nothing, for benchmarks of what
// is around the computation.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "innerloop/v1/training.grpc.pb.h"
#include "server/server.h"

namespace innerloop {

// The program that uses a cluster is also the program of its workers and watches: its main calls
// this first, and ends with `*exit_code` when it returns true.
bool RunPartOfCluster(int argc, char** argv, int* exit_code);

// A coordinator, its state in a temporary folder, and workers that hold one tensor of so many
// values, whose updates are zero. One thread only.
class IdleCluster {
 public:
  // With `tls` the workers have certificates and a watch has a token.
  explicit IdleCluster(int64_t values, bool tls = false, int workers = 2);
  ~IdleCluster();
  IdleCluster(const IdleCluster&) = delete;
  IdleCluster& operator=(const IdleCluster&) = delete;

  // Runs a job to its end, while somebody watches it and Prometheus asks for its metrics once a
  // second, or while nobody does. Returns when each iteration ended, in seconds of training;
  // nothing: see error().
  std::vector<double> Run(uint64_t iterations, const std::string& outer_optimizer, bool observed);
  const std::string& error() const { return error_; }

 private:
  // The folder of a new certificate; the authority is made first.
  std::string Issue(const std::string& role);
  std::string NewToken();
  // The job's id; empty when there is an error.
  std::string Submit(uint64_t iterations, const std::string& outer_optimizer);
  // Of a job that has ended.
  std::vector<double> History(const std::string& id, uint64_t iterations);
  // Without a watch, whose cost is measured.
  void AwaitEnd(const std::string& id);
  // Asks for the metrics page, as Prometheus does.
  void Scrape();
  bool Check(const grpc::Status& status);

  std::string folder_;
  // Of the workers' certificate; empty: plaintext.
  std::string tls_folder_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<v1::Training::Stub> stub_;
  std::vector<pid_t> workers_;  // an iteration has a shard for each
  std::string error_;
};

}  // namespace innerloop
