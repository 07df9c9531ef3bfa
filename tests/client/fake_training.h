// A coordinator for the client's tests: keeps what it was sent, answers what it was told to.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "innerloop/v1/training.grpc.pb.h"

namespace innerloop::client {

// Serves on a free port of loopback from its construction on. Thread-safe.
class FakeTraining final : public v1::Training::Service {
 public:
  // What one WatchJob call gives: the messages, then the status. `hold`: stays open until the
  // client goes.
  struct Stream {
    std::vector<v1::JobEvents> messages;
    grpc::Status end = grpc::Status::OK;
    bool hold = false;
  };

  FakeTraining();
  ~FakeTraining() override;

  std::string address() const;

  // ---- what it answers
  void AddJob(v1::Job job);
  void AddWatch(Stream stream);
  // The next calls of unary methods fail with these, in order; OK lets one through.
  void FailNext(grpc::Status status);
  void AddCheckpoint(v1::CheckpointInfo info, std::string file);
  // Downloads and uploads break after so many bytes, once.
  void BreakTransferAfter(uint64_t bytes);
  // Downloads stay open after their first piece, until the client goes.
  void HoldDownloads();
  void AddDataSet(v1::DataSetDescription data_set);
  void AddWorker(v1::WorkerInfo worker);
  void SetEvaluation(v1::Evaluation evaluation);

  // ---- what it was sent
  std::vector<v1::SubmitJobRequest> submitted() const;
  std::vector<uint64_t> watched_from() const;
  std::vector<std::string> calls() const;
  v1::Job job(const std::string& id) const;
  std::vector<v1::EvaluateRequest> evaluated() const;
  // Bytes of data sets by hash, of the last checkpoint, and offsets that uploads began at.
  std::string data_set(const std::string& sha256) const;
  std::string checkpoint() const;
  std::vector<uint64_t> upload_offsets() const;
  void AwaitWatches(size_t count) const;
  // Until a download is held.
  void AwaitHeldDownload() const;

 private:
  using Context = grpc::ServerContext*;
  grpc::Status SubmitJob(Context, const v1::SubmitJobRequest*, v1::Job*) override;
  grpc::Status GetJob(Context, const v1::GetJobRequest*, v1::Job*) override;
  grpc::Status ListJobs(Context, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  grpc::Status WatchJob(Context, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::JobEvents>*) override;
  grpc::Status CancelJob(Context, const v1::CancelJobRequest*, v1::Job*) override;
  grpc::Status PauseJob(Context, const v1::PauseJobRequest*, v1::Job*) override;
  grpc::Status ResumeJob(Context, const v1::ResumeJobRequest*, v1::Job*) override;
  grpc::Status ReviseJob(Context, const v1::ReviseJobRequest*, v1::Job*) override;
  grpc::Status DeleteJob(Context, const v1::DeleteJobRequest*, v1::DeleteJobResponse*) override;
  grpc::Status Evaluate(Context, const v1::EvaluateRequest*, v1::Evaluation*) override;
  grpc::Status ListCheckpoints(Context, const v1::ListCheckpointsRequest*,
                               v1::ListCheckpointsResponse*) override;
  grpc::Status DownloadCheckpoint(Context, const v1::DownloadCheckpointRequest*,
                                  grpc::ServerWriter<v1::FileChunk>*) override;
  grpc::Status UploadCheckpoint(Context, grpc::ServerReader<v1::UploadCheckpointRequest>*,
                                v1::Job*) override;
  grpc::Status BeginDataSetUpload(Context, const v1::BeginDataSetUploadRequest*,
                                  v1::BeginUploadResponse*) override;
  grpc::Status UploadDataSet(Context, grpc::ServerReader<v1::UploadDataSetRequest>*,
                             v1::DataSetDescription*) override;
  grpc::Status ListDataSets(Context, const v1::ListDataSetsRequest*,
                            v1::ListDataSetsResponse*) override;
  grpc::Status DeleteDataSet(Context, const v1::DeleteDataSetRequest*,
                             v1::DeleteDataSetResponse*) override;
  grpc::Status ListWorkers(Context, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse*) override;

  // Notes the call; the status that it is to fail with.
  grpc::Status Begin(const std::string& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Returns when the client has gone or the service stops.
  void Hold(Context context) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Changes a job's state; one that has ended cannot be cancelled.
  grpc::Status Change(const std::string& call, const std::string& id, v1::JobState state,
                      v1::Job* response);

  mutable absl::Mutex mu_;
  std::map<std::string, v1::Job> jobs_ ABSL_GUARDED_BY(mu_);
  std::deque<Stream> streams_ ABSL_GUARDED_BY(mu_);
  std::deque<grpc::Status> failures_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::CheckpointInfo> checkpoints_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> checkpoint_files_ ABSL_GUARDED_BY(mu_);
  uint64_t break_after_ ABSL_GUARDED_BY(mu_) = UINT64_MAX;
  bool hold_downloads_ ABSL_GUARDED_BY(mu_) = false;
  bool download_held_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<v1::DataSetDescription> data_sets_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::WorkerInfo> workers_ ABSL_GUARDED_BY(mu_);
  v1::Evaluation evaluation_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::SubmitJobRequest> submitted_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> watched_from_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::EvaluateRequest> evaluated_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> uploads_ ABSL_GUARDED_BY(mu_);
  std::string uploaded_checkpoint_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> upload_offsets_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace innerloop::client
