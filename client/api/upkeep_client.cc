#include "client/api/upkeep_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/partial_file.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
UpkeepClient::UpkeepClient(ClientOptions options, Cancellation& cancellation)
    : connection_(std::move(options), cancellation),
      stub_(v1::Upkeep::NewStub(connection_.channel())) {}

absl::StatusOr<v1::ServerInfo> UpkeepClient::Info() {
  return connection_.Call(*stub_, &v1::Upkeep::Stub::GetServerInfo, v1::GetServerInfoRequest(),
                          Connection::Repeat::kWhileAway, connection_.options().call_deadline);
}

absl::Status UpkeepClient::ReadLog(const std::string& job_id, bool follow,
                                   const std::function<void(const v1::LogEntry&)>& take) {
  Retry retry = connection_.Patient();
  v1::ReadLogRequest request;
  request.set_job_id(job_id);
  request.set_follow(follow);
  while (true) {
    grpc::ClientContext context;
    absl::Status status;
    {
      const Cancellation::Scope scope(connection_.cancellation(), context);
      const auto stream = stub_->ReadLog(&context, request);
      v1::LogEntry entry;
      while (stream->Read(&entry)) {
        retry.Progress();
        request.set_after(entry.sequence());
        take(entry);
      }
      status = connection_.Convert(stream->Finish());
    }
    if (status.ok()) {
      return status;
    }
    INNERLOOP_RETURN_IF_ERROR(retry.Again(status));
  }
}

absl::StatusOr<v1::CollectGarbageResponse> UpkeepClient::CollectGarbage(
    const v1::CollectGarbageRequest& request) {
  return connection_.Call(*stub_, &v1::Upkeep::Stub::CollectGarbage, request,
                          Connection::Repeat::kNever, absl::InfiniteDuration());
}

absl::StatusOr<uint64_t> UpkeepClient::Backup(const std::string& path,
                                              const std::function<void(uint64_t done)>& progress) {
  // It holds everything, among it hashes of tokens: for its owner alone.
  INNERLOOP_ASSIGN_OR_RETURN(PartialFile file, PartialFile::Create(path, 0600));
  uint64_t done = 0;
  grpc::ClientContext context;
  const Cancellation::Scope scope(connection_.cancellation(), context);
  const auto stream = stub_->Backup(&context, v1::BackupRequest());
  v1::FileChunk chunk;
  absl::Status kept;
  while (kept.ok() && stream->Read(&chunk)) {
    kept = chunk.offset() == done
               ? file.Write(chunk.data())
               : absl::DataLossError(absl::StrCat("the coordinator sent byte ", chunk.offset(),
                                                  " of the backup where byte ", done, " was due"));
    done += chunk.data().size();
    progress(done);
  }
  if (!kept.ok()) {
    context.TryCancel();
  }
  const absl::Status sent = connection_.Convert(stream->Finish());
  INNERLOOP_RETURN_IF_ERROR(kept);
  INNERLOOP_RETURN_IF_ERROR(sent);
  INNERLOOP_RETURN_IF_ERROR(file.Commit());
  return done;
}

}  // namespace innerloop::client
