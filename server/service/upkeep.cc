#include "server/service/upkeep.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "core/rpc/certificate.h"
#include "core/support/status_macros.h"
#include "core/support/version.h"
#include "server/jobs/job_machine.h"
#include "server/service/request_checks.h"
#include "server/storage/state_snapshot.h"

namespace innerloop::server {
namespace {

constexpr size_t kMostEntries = 1000;
// How long a reader of a log waits before it looks whether its caller is still there, and how long
// it lets entries gather.
constexpr absl::Duration kPatience = absl::Seconds(1);
constexpr absl::Duration kBetweenMessages = absl::Milliseconds(100);

absl::Status Stopping() { return absl::UnavailableError("the coordinator is stopping"); }

}  // namespace

UpkeepService::UpkeepService(Options options, const Parts& parts)
    : options_(std::move(options)), parts_(parts), started_(parts_.clock.Now()) {}

grpc::Status UpkeepService::GetServerInfo(grpc::ServerContext* context,
                                          const v1::GetServerInfoRequest* /*request*/,
                                          v1::ServerInfo* response) {
  response->set_api_version(kApiVersion);
  response->set_version(kVersion);
  *response->mutable_started() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(started_));
  response->set_tls(!options_.tls.empty());
  response->set_role(parts_.gate.RoleOf(*context) == v1::ROLE_VIEWER ? kRoleViewer : kRoleUser);
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(options_.state_dir, error);
  if (!error) {
    response->set_disk_bytes_free(space.available);
    response->set_disk_bytes(space.capacity);
  }
  return grpc::Status::OK;
}

absl::StatusOr<std::vector<v1::LogEntry>> UpkeepService::EntriesAfter(const std::string& job_id,
                                                                      uint64_t after) {
  // What waits to be stored is asked for first, so that nothing slips through in between.
  std::vector<v1::LogEntry> pending = parts_.recorder.PendingLog(job_id, after);
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::LogEntry> entries,
                             parts_.state.Log(job_id, after, kMostEntries));
  if (entries.size() == kMostEntries) {
    return entries;
  }
  for (v1::LogEntry& entry : pending) {
    if (entries.empty() || entry.sequence() > entries.back().sequence()) {
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

grpc::Status UpkeepService::ReadLog(grpc::ServerContext* context, const v1::ReadLogRequest* request,
                                    grpc::ServerWriter<v1::LogEntry>* writer) {
  const std::string& id = request->job_id();
  if (const absl::Status status = CheckRequired("job_id", id, kMaxIdLength); !status.ok()) {
    return ToGrpc(status);
  }
  if (const absl::Status status = CheckNumber("after", request->after()); !status.ok()) {
    return ToGrpc(status);
  }
  uint64_t after = request->after();
  uint64_t seen = 0;
  while (!context->IsCancelled()) {
    if (stopping_.HasBeenNotified()) {
      return ToGrpc(Stopping());
    }
    if (const absl::Status status = parts_.gate.CheckAgain(*context); !status.ok()) {
      return ToGrpc(status);
    }
    // The job before its log: once it has ended, all of it is there.
    const absl::StatusOr<v1::Job> job = parts_.coordinator.Get(id);
    if (!job.ok()) {
      return ToGrpc(job.status());
    }
    const absl::StatusOr<std::vector<v1::LogEntry>> entries = EntriesAfter(id, after);
    if (!entries.ok()) {
      return ToGrpc(entries.status());
    }
    for (const v1::LogEntry& entry : *entries) {
      if (!writer->Write(entry)) {
        return grpc::Status::CANCELLED;
      }
      after = entry.sequence();
    }
    if (!entries->empty()) {
      continue;
    }
    if (!request->follow() || JobMachine::Ended(job->state())) {
      return grpc::Status::OK;
    }
    stopping_.WaitForNotificationWithTimeout(kBetweenMessages);
    seen = parts_.coordinator.AwaitEvents(id, seen, kPatience);
  }
  return grpc::Status::CANCELLED;
}

grpc::Status UpkeepService::CollectGarbage(grpc::ServerContext* /*context*/,
                                           const v1::CollectGarbageRequest* request,
                                           v1::CollectGarbageResponse* response) {
  return Answer(parts_.coordinator.CollectGarbage(*request), response);
}

grpc::Status UpkeepService::Backup(grpc::ServerContext* context,
                                   const v1::BackupRequest* /*request*/,
                                   grpc::ServerWriter<v1::FileChunk>* writer) {
  std::unique_ptr<StateSnapshot> snapshot;
  const absl::Status taken = parts_.coordinator.HoldStill([&]() -> absl::Status {
    INNERLOOP_ASSIGN_OR_RETURN(snapshot, StateSnapshot::Take(options_.state_dir));
    return absl::OkStatus();
  });
  if (!taken.ok()) {
    return ToGrpc(taken);
  }
  v1::FileChunk chunk;
  return ToGrpc(snapshot->Stream([&](absl::string_view piece) {
    if (stopping_.HasBeenNotified()) {
      return Stopping();
    }
    chunk.set_data(piece.data(), piece.size());
    if (context->IsCancelled() || !writer->Write(chunk)) {
      return absl::CancelledError("the caller went away");
    }
    chunk.set_offset(chunk.offset() + piece.size());
    return absl::OkStatus();
  }));
}

}  // namespace innerloop::server
