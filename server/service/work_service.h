// The Work service: worker streams, and data sets and models for workers.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/work.grpc.pb.h"
#include "server/coordinator.h"
#include "server/metrics/metrics.h"
#include "server/storage/data_set_store.h"

namespace innerloop::server {

// Connect runs on gRPC's callback threads with raw batches, because parameters must not be copied
// and reports must be acted upon in the thread that reads them. FetchFile blocks on files in a
// thread of gRPC's synchronous pool. Owned by main, called by gRPC. Thread-safe.
class WorkService final : public v1::Work::WithRawCallbackMethod_Connect<v1::Work::Service> {
 public:
  struct Options {
    // How long a stream may take to say Hello, and to take what is written to it when it is closed.
    absl::Duration patience = absl::Seconds(10);
    // Tells when a worker that sends a long result was last said to be alive.
    const Clock& clock = Clock::Real();
  };
  WorkService(Coordinator& coordinator, DataSetStore& data_sets, Metrics& metrics, Options options)
      : coordinator_(coordinator), data_sets_(data_sets), metrics_(metrics), options_(options) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(
      grpc::CallbackServerContext* context) override;
  grpc::Status FetchFile(grpc::ServerContext* context, const v1::FetchFileRequest* request,
                         grpc::ServerWriter<v1::FileChunk>* writer) override;

 private:
  struct FileOnDisk {
    std::string what;  // for people
    std::string path;
    uint64_t bytes;
  };
  // A data set or a user's model. NOT_FOUND.
  absl::StatusOr<FileOnDisk> Find(const std::string& sha256);

  Coordinator& coordinator_;
  DataSetStore& data_sets_;
  Metrics& metrics_;
  const Options options_;
};

}  // namespace innerloop::server
