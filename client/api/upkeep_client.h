// What operators ask of a coordinator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/api/connection.h"
#include "innerloop/v1/upkeep.grpc.pb.h"

namespace innerloop::client {

// Blocking calls; statuses as TrainingClient has them. Thread-safe.
class UpkeepClient {
 public:
  // `cancellation` outlives the client.
  UpkeepClient(ClientOptions options, Cancellation& cancellation);

  absl::StatusOr<v1::ServerInfo> Info();
  // A job's log, oldest entry first, each entry once. `follow`: goes on until the job ends, over
  // breaks of the stream.
  absl::Status ReadLog(const std::string& job_id, bool follow,
                       const std::function<void(const v1::LogEntry&)>& take);
  // Takes as long as it takes to look at every file.
  absl::StatusOr<v1::CollectGarbageResponse> CollectGarbage(
      const v1::CollectGarbageRequest& request);
  // The coordinator's state into the file `path`, which appears when it is whole. Returns its size.
  absl::StatusOr<uint64_t> Backup(const std::string& path,
                                  const std::function<void(uint64_t done)>& progress);

 private:
  Connection connection_;
  const std::unique_ptr<v1::Upkeep::Stub> stub_;
};

}  // namespace innerloop::client
