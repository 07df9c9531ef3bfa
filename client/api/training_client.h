// The C++ client library: the Training service with statuses, deadlines and retries.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/api/connection.h"
#include "core/support/partial_file.h"
#include "innerloop/v1/training.grpc.pb.h"

namespace innerloop::client {

// Called with the bytes that are through and the bytes of the whole file.
using TransferProgress = std::function<void(uint64_t done, uint64_t total)>;

// One coordinator, as users see it. Calls are blocking and fail with the coordinator's own status,
// with UNAVAILABLE when it cannot be reached, or with the cancellation's reason. Calls that may
// safely be repeated are, while the coordinator is away. Thread-safe.
class TrainingClient {
 public:
  // `cancellation` outlives the client.
  TrainingClient(ClientOptions options, Cancellation& cancellation);

  // Repeats carry one request identifier, so that the job is submitted once.
  absl::StatusOr<v1::Job> Submit(const v1::JobSpec& spec);
  absl::StatusOr<v1::Job> Get(const std::string& id);
  absl::StatusOr<std::vector<v1::Job>> List();
  absl::StatusOr<v1::Job> Cancel(const std::string& id);
  absl::StatusOr<v1::Job> Pause(const std::string& id);
  absl::StatusOr<v1::Job> Resume(const std::string& id);
  // To `spec`, which may have more iterations and differ in what decides no bits of the parameters.
  absl::StatusOr<v1::Job> Revise(const std::string& id, const v1::JobSpec& spec);
  absl::Status Delete(const std::string& id);
  // Waits for as long as it takes.
  absl::StatusOr<v1::Evaluation> Evaluate(const v1::EvaluateRequest& request);
  absl::StatusOr<std::vector<v1::CheckpointInfo>> ListCheckpoints(const std::string& id);
  absl::StatusOr<std::vector<v1::DataSetDescription>> ListDataSets();
  // `force`: also when ended jobs need it.
  absl::Status DeleteDataSet(const std::string& name_or_sha256, bool force);
  absl::StatusOr<std::vector<v1::WorkerInfo>> ListWorkers();

  // What a watch tells, from the thread that called Watch.
  struct Watcher {
    // New iterations in order, each once; each evaluation once; the job when it changed.
    std::function<void(const v1::JobEvents& events)> on_events;
    // The stream broke and is being opened again. May be empty.
    std::function<void(const absl::Status& why)> on_break;
    // Asked after each on_events whether the watch may end before the job does. May be empty.
    std::function<bool()> enough;
  };
  // Follows a job to its end, over breaks of the stream, and returns it as it was told last.
  absl::StatusOr<v1::Job> Watch(const std::string& id, uint64_t from_iteration,
                                const Watcher& watcher);

  // Sends the file, from where an earlier upload broke off; nothing when the coordinator has it.
  // NOT_FOUND, INVALID_ARGUMENT or DATA_LOSS, naming the file, when it cannot be read or is no data
  // set.
  absl::StatusOr<v1::DataSetDescription> UploadDataSet(const std::string& name,
                                                       const std::string& path,
                                                       const TransferProgress& progress);
  // The same for the file of a user's own model, which nothing here looks into.
  absl::Status UploadModel(const std::string& path, const TransferProgress& progress);
  // "JOB", "JOB@ITERATION" or "JOB@best" into the file `path`, which appears when it is whole and
  // verified. An empty path: the coordinator's file name in the working folder. Returns the path.
  absl::StatusOr<std::string> DownloadCheckpoint(const std::string& checkpoint, std::string path,
                                                 const TransferProgress& progress);
  // Verifies the file, sends it, and returns the ended job that was made of it.
  absl::StatusOr<v1::Job> UploadCheckpoint(const std::string& path,
                                           const TransferProgress& progress);

 private:
  using Repeat = Connection::Repeat;
  template <typename Request, typename Response>
  using Method = grpc::Status (v1::Training::Stub::*)(grpc::ClientContext*, const Request&,
                                                      Response*);

  // One unary call with deadline, cancellation and retries.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Request, Response> method, const Request& request,
                                Repeat repeat, absl::Duration deadline) {
    return connection_.Call(*stub_, method, request, repeat, deadline);
  }
  template <typename Request>
  absl::StatusOr<v1::Job> JobCall(Method<Request, v1::Job> method, const std::string& id,
                                  Repeat repeat);

  absl::StatusOr<v1::BeginUploadResponse> BeginDataSetUpload(
      const v1::BeginDataSetUploadRequest& file);
  absl::StatusOr<v1::BeginUploadResponse> BeginModelUpload(const v1::StoredFile& file);
  // Sends a file in as many attempts as it takes: `begin` asks where to go on, `send` sends the
  // rest.
  absl::Status Upload(const std::string& path, uint64_t bytes,
                      const std::function<absl::StatusOr<v1::BeginUploadResponse>()>& begin,
                      const std::function<absl::Status(uint64_t offset)>& send);
  // The part of an upload from `offset` on.
  absl::StatusOr<v1::DataSetDescription> SendDataSet(const v1::BeginDataSetUploadRequest& file,
                                                     absl::string_view bytes, uint64_t offset,
                                                     const TransferProgress& progress);
  // "JOB@ITERATION" for what the reference means now, and the file's size.
  absl::StatusOr<v1::CheckpointInfo> Pin(const std::string& checkpoint);
  // Appends to the open file until the stream ends; `offset` is moved along.
  absl::Status ReceiveCheckpoint(const std::string& pinned, PartialFile& file, uint64_t total,
                                 uint64_t& offset, const TransferProgress& progress);

  Connection connection_;
  const std::unique_ptr<v1::Training::Stub> stub_;
};

// Whether the job will never iterate again unless somebody extends it.
bool HasEnded(v1::JobState state);

}  // namespace innerloop::client
