#pragma once

#include <string>

#include <grpcpp/grpcpp.h>

#include "absl/synchronization/notification.h"
#include "innerloop/v1/training.grpc.pb.h"
#include "server/access/gate.h"
#include "server/coordinator.h"
#include "server/options.h"

namespace innerloop::server {

// The API for users over the coordinator and its stores: looks up, calls, converts. gRPC's threads
// call it, one for each call under way. Thread-safe.
class TrainingService final : public v1::Training::Service {
 public:
  struct Parts {
    Coordinator& coordinator;
    StateStore& state;
    CheckpointStore& checkpoints;
    DataSetStore& data_sets;
    Recorder& recorder;
    Gate& gate;
  };
  TrainingService(Options options, const Parts& parts);

  // Ends the calls that wait (watches, evaluations) with UNAVAILABLE. Once, before the server shuts
  // down.
  void Stop() { stopping_.Notify(); }

  // ---- jobs.cc
  grpc::Status SubmitJob(grpc::ServerContext* context, const v1::SubmitJobRequest* request,
                         v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvents>* writer) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const v1::CancelJobRequest* request,
                         v1::Job* response) override;
  grpc::Status PauseJob(grpc::ServerContext* context, const v1::PauseJobRequest* request,
                        v1::Job* response) override;
  grpc::Status ResumeJob(grpc::ServerContext* context, const v1::ResumeJobRequest* request,
                         v1::Job* response) override;
  grpc::Status ReviseJob(grpc::ServerContext* context, const v1::ReviseJobRequest* request,
                         v1::Job* response) override;
  grpc::Status ExtendJob(grpc::ServerContext* context, const v1::ExtendJobRequest* request,
                         v1::Job* response) override;
  grpc::Status DeleteJob(grpc::ServerContext* context, const v1::DeleteJobRequest* request,
                         v1::DeleteJobResponse* response) override;
  grpc::Status Evaluate(grpc::ServerContext* context, const v1::EvaluateRequest* request,
                        v1::Evaluation* response) override;
  grpc::Status ListWorkers(grpc::ServerContext* context, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override;

  // ---- checkpoints.cc
  grpc::Status ListCheckpoints(grpc::ServerContext* context,
                               const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status DownloadCheckpoint(grpc::ServerContext* context,
                                  const v1::DownloadCheckpointRequest* request,
                                  grpc::ServerWriter<v1::FileChunk>* writer) override;
  grpc::Status UploadCheckpoint(grpc::ServerContext* context,
                                grpc::ServerReader<v1::UploadCheckpointRequest>* reader,
                                v1::Job* response) override;

  // ---- data_sets.cc
  grpc::Status BeginDataSetUpload(grpc::ServerContext* context,
                                  const v1::BeginDataSetUploadRequest* request,
                                  v1::BeginUploadResponse* response) override;
  grpc::Status UploadDataSet(grpc::ServerContext* context,
                             grpc::ServerReader<v1::UploadDataSetRequest>* reader,
                             v1::DataSetDescription* response) override;
  grpc::Status ListDataSets(grpc::ServerContext* context, const v1::ListDataSetsRequest* request,
                            v1::ListDataSetsResponse* response) override;
  grpc::Status DeleteDataSet(grpc::ServerContext* context, const v1::DeleteDataSetRequest* request,
                             v1::DeleteDataSetResponse* response) override;

  // ---- models.cc
  grpc::Status BeginModelUpload(grpc::ServerContext* context, const v1::StoredFile* request,
                                v1::BeginUploadResponse* response) override;
  grpc::Status UploadModel(grpc::ServerContext* context,
                           grpc::ServerReader<v1::UploadModelRequest>* reader,
                           v1::StoredFile* response) override;

 private:
  absl::StatusOr<v1::Job> Adopt(const std::string& path);

  const Options options_;
  const Parts parts_;
  absl::Notification stopping_;
};

}  // namespace innerloop::server
