#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/upkeep.grpc.pb.h"
#include "server/access/gate.h"
#include "server/coordinator.h"
#include "server/options.h"

namespace innerloop::server {

// The API for operators over the coordinator and its stores. gRPC's threads call it, one for each
// call under way. Thread-safe.
class UpkeepService final : public v1::Upkeep::Service {
 public:
  struct Parts {
    Coordinator& coordinator;
    StateStore& state;
    Recorder& recorder;
    const Clock& clock;
    Gate& gate;
  };
  UpkeepService(Options options, const Parts& parts);

  // Ends the calls that wait with UNAVAILABLE. Once, before the server shuts down.
  void Stop() { stopping_.Notify(); }

  grpc::Status GetServerInfo(grpc::ServerContext* context, const v1::GetServerInfoRequest* request,
                             v1::ServerInfo* response) override;
  grpc::Status ReadLog(grpc::ServerContext* context, const v1::ReadLogRequest* request,
                       grpc::ServerWriter<v1::LogEntry>* writer) override;
  grpc::Status CollectGarbage(grpc::ServerContext* context,
                              const v1::CollectGarbageRequest* request,
                              v1::CollectGarbageResponse* response) override;
  grpc::Status Backup(grpc::ServerContext* context, const v1::BackupRequest* request,
                      grpc::ServerWriter<v1::FileChunk>* writer) override;

 private:
  // The entries behind `after`, in order; not all of them when there are many.
  absl::StatusOr<std::vector<v1::LogEntry>> EntriesAfter(const std::string& job_id, uint64_t after);

  const Options options_;
  const Parts parts_;
  const absl::Time started_;
  absl::Notification stopping_;
};

}  // namespace innerloop::server
