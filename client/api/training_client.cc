#include "client/api/training_client.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

std::string NewRequestId() {
  absl::BitGen random;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16),
                      absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
}

}  // namespace

bool HasEnded(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

TrainingClient::TrainingClient(ClientOptions options, Cancellation& cancellation)
    : connection_(std::move(options), cancellation),
      stub_(v1::Training::NewStub(connection_.channel())) {}

template <typename Request>
absl::StatusOr<v1::Job> TrainingClient::JobCall(Method<Request, v1::Job> method,
                                                const std::string& id, Repeat repeat) {
  Request request;
  request.set_id(id);
  return Call(method, request, repeat, connection_.options().call_deadline);
}

absl::StatusOr<v1::Job> TrainingClient::Submit(const v1::JobSpec& spec) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(NewRequestId());
  return Call(&v1::Training::Stub::SubmitJob, request, Repeat::kWhileAway,
              connection_.options().call_deadline);
}

absl::StatusOr<v1::Job> TrainingClient::Get(const std::string& id) {
  return JobCall(&v1::Training::Stub::GetJob, id, Repeat::kWhileAway);
}

absl::StatusOr<std::vector<v1::Job>> TrainingClient::List() {
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  do {
    INNERLOOP_ASSIGN_OR_RETURN(v1::ListJobsResponse page,
                               Call(&v1::Training::Stub::ListJobs, request, Repeat::kWhileAway,
                                    connection_.options().call_deadline));
    std::move(page.mutable_jobs()->begin(), page.mutable_jobs()->end(), std::back_inserter(jobs));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

absl::StatusOr<v1::Job> TrainingClient::Cancel(const std::string& id) {
  return JobCall(&v1::Training::Stub::CancelJob, id, Repeat::kWhileAway);
}

// Pausing a paused job and resuming a running one are refused, so a repeat could report a failure
// of what had in fact been done.
absl::StatusOr<v1::Job> TrainingClient::Pause(const std::string& id) {
  return JobCall(&v1::Training::Stub::PauseJob, id, Repeat::kNever);
}

absl::StatusOr<v1::Job> TrainingClient::Resume(const std::string& id) {
  return JobCall(&v1::Training::Stub::ResumeJob, id, Repeat::kNever);
}

absl::StatusOr<v1::Job> TrainingClient::Revise(const std::string& id, const v1::JobSpec& spec) {
  v1::ReviseJobRequest request;
  request.set_id(id);
  *request.mutable_spec() = spec;
  return Call(&v1::Training::Stub::ReviseJob, request, Repeat::kWhileAway,
              connection_.options().call_deadline);
}

absl::Status TrainingClient::Delete(const std::string& id) {
  v1::DeleteJobRequest request;
  request.set_id(id);
  return Call(&v1::Training::Stub::DeleteJob, request, Repeat::kNever,
              connection_.options().call_deadline)
      .status();
}

absl::StatusOr<v1::Evaluation> TrainingClient::Evaluate(const v1::EvaluateRequest& request) {
  return Call(&v1::Training::Stub::Evaluate, request, Repeat::kWhileAway, absl::InfiniteDuration());
}

absl::StatusOr<std::vector<v1::CheckpointInfo>> TrainingClient::ListCheckpoints(
    const std::string& id) {
  v1::ListCheckpointsRequest request;
  request.set_id(id);
  INNERLOOP_ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse response,
                             Call(&v1::Training::Stub::ListCheckpoints, request, Repeat::kWhileAway,
                                  connection_.options().call_deadline));
  return std::vector<v1::CheckpointInfo>(response.checkpoints().begin(),
                                         response.checkpoints().end());
}

absl::StatusOr<v1::BeginUploadResponse> TrainingClient::BeginDataSetUpload(
    const v1::BeginDataSetUploadRequest& file) {
  return Call(&v1::Training::Stub::BeginDataSetUpload, file, Repeat::kWhileAway,
              connection_.options().call_deadline);
}

absl::StatusOr<v1::BeginUploadResponse> TrainingClient::BeginModelUpload(
    const v1::StoredFile& file) {
  return Call(&v1::Training::Stub::BeginModelUpload, file, Repeat::kWhileAway,
              connection_.options().call_deadline);
}

absl::StatusOr<std::vector<v1::DataSetDescription>> TrainingClient::ListDataSets() {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::ListDataSetsResponse response,
                             Call(&v1::Training::Stub::ListDataSets, v1::ListDataSetsRequest(),
                                  Repeat::kWhileAway, connection_.options().call_deadline));
  return std::vector<v1::DataSetDescription>(response.data_sets().begin(),
                                             response.data_sets().end());
}

absl::Status TrainingClient::DeleteDataSet(const std::string& name_or_sha256, bool force) {
  v1::DeleteDataSetRequest request;
  request.set_data_set(name_or_sha256);
  request.set_force(force);
  return Call(&v1::Training::Stub::DeleteDataSet, request, Repeat::kNever,
              connection_.options().call_deadline)
      .status();
}

absl::StatusOr<std::vector<v1::WorkerInfo>> TrainingClient::ListWorkers() {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::ListWorkersResponse response,
                             Call(&v1::Training::Stub::ListWorkers, v1::ListWorkersRequest(),
                                  Repeat::kWhileAway, connection_.options().call_deadline));
  return std::vector<v1::WorkerInfo>(response.workers().begin(), response.workers().end());
}

}  // namespace innerloop::client
