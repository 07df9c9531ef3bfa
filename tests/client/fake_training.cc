#include "tests/client/fake_training.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/api/training_client.h"

namespace innerloop::client {

using grpc::Status;

FakeTraining::FakeTraining() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeTraining::~FakeTraining() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  server_->Shutdown(std::chrono::system_clock::now());
}

std::string FakeTraining::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeTraining::AddJob(v1::Job job) {
  const absl::MutexLock lock(&mu_);
  const std::string id = job.id();
  jobs_[id] = std::move(job);
}

void FakeTraining::AddWatch(Stream stream) {
  const absl::MutexLock lock(&mu_);
  streams_.push_back(std::move(stream));
}

void FakeTraining::FailNext(Status status) {
  const absl::MutexLock lock(&mu_);
  failures_.push_back(std::move(status));
}

void FakeTraining::AddCheckpoint(v1::CheckpointInfo info, std::string file) {
  const absl::MutexLock lock(&mu_);
  checkpoint_files_[absl::StrCat(info.job_id(), "@", info.iteration())] = std::move(file);
  checkpoints_.push_back(std::move(info));
}

void FakeTraining::BreakTransferAfter(uint64_t bytes) {
  const absl::MutexLock lock(&mu_);
  break_after_ = bytes;
}

void FakeTraining::HoldDownloads() {
  const absl::MutexLock lock(&mu_);
  hold_downloads_ = true;
}

void FakeTraining::AddDataSet(v1::DataSetDescription data_set) {
  const absl::MutexLock lock(&mu_);
  data_sets_.push_back(std::move(data_set));
}

void FakeTraining::AddWorker(v1::WorkerInfo worker) {
  const absl::MutexLock lock(&mu_);
  workers_.push_back(std::move(worker));
}

void FakeTraining::SetEvaluation(v1::Evaluation evaluation) {
  const absl::MutexLock lock(&mu_);
  evaluation_ = std::move(evaluation);
}

std::vector<v1::SubmitJobRequest> FakeTraining::submitted() const {
  const absl::MutexLock lock(&mu_);
  return submitted_;
}

std::vector<uint64_t> FakeTraining::watched_from() const {
  const absl::MutexLock lock(&mu_);
  return watched_from_;
}

std::vector<std::string> FakeTraining::calls() const {
  const absl::MutexLock lock(&mu_);
  return calls_;
}

v1::Job FakeTraining::job(const std::string& id) const {
  const absl::MutexLock lock(&mu_);
  return jobs_.at(id);
}

std::vector<v1::EvaluateRequest> FakeTraining::evaluated() const {
  const absl::MutexLock lock(&mu_);
  return evaluated_;
}

std::string FakeTraining::data_set(const std::string& sha256) const {
  const absl::MutexLock lock(&mu_);
  const auto found = uploads_.find(sha256);
  return found == uploads_.end() ? "" : found->second;
}

std::string FakeTraining::checkpoint() const {
  const absl::MutexLock lock(&mu_);
  return uploaded_checkpoint_;
}

std::vector<uint64_t> FakeTraining::upload_offsets() const {
  const absl::MutexLock lock(&mu_);
  return upload_offsets_;
}

void FakeTraining::AwaitWatches(size_t count) const {
  const absl::MutexLock lock(&mu_);
  const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return watched_from_.size() >= count;
  };
  mu_.Await(absl::Condition(&there));
}

void FakeTraining::AwaitHeldDownload() const {
  const absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&download_held_));
}

void FakeTraining::Hold(Context context) const {
  while (!stopping_ && !context->IsCancelled()) {
    mu_.AwaitWithTimeout(absl::Condition(&stopping_), absl::Milliseconds(20));
  }
}

Status FakeTraining::Begin(const std::string& call) {
  calls_.push_back(call);
  if (failures_.empty()) {
    return Status::OK;
  }
  Status status = failures_.front();
  failures_.pop_front();
  return status;
}

Status FakeTraining::Change(const std::string& call, const std::string& id, v1::JobState state,
                            v1::Job* response) {
  const absl::MutexLock lock(&mu_);
  if (Status status = Begin(absl::StrCat(call, " ", id)); !status.ok()) {
    return status;
  }
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) {
    return {grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no job '", id, "'")};
  }
  if (state != v1::JOB_STATE_UNSPECIFIED &&
      !(state == v1::JOB_STATE_CANCELLED && HasEnded(found->second.state()))) {
    found->second.set_state(state);
  }
  *response = found->second;
  return Status::OK;
}

Status FakeTraining::SubmitJob(Context, const v1::SubmitJobRequest* request, v1::Job* response) {
  const absl::MutexLock lock(&mu_);
  submitted_.push_back(*request);
  if (Status status = Begin("submit"); !status.ok()) {
    return status;
  }
  v1::Job job;
  job.set_id(absl::StrCat("new", submitted_.size()));
  job.set_state(v1::JOB_STATE_QUEUED);
  *job.mutable_spec() = request->spec();
  jobs_[job.id()] = job;
  *response = job;
  return Status::OK;
}

Status FakeTraining::GetJob(Context, const v1::GetJobRequest* request, v1::Job* response) {
  return Change("get", request->id(), v1::JOB_STATE_UNSPECIFIED, response);
}

Status FakeTraining::ListJobs(Context, const v1::ListJobsRequest* request,
                              v1::ListJobsResponse* response) {
  const absl::MutexLock lock(&mu_);
  // A job a page.
  const auto it = jobs_.upper_bound(request->page_token());
  if (it != jobs_.end()) {
    *response->add_jobs() = it->second;
    if (std::next(it) != jobs_.end()) {
      response->set_next_page_token(it->first);
    }
  }
  return Begin("list");
}

Status FakeTraining::WatchJob(Context context, const v1::WatchJobRequest* request,
                              grpc::ServerWriter<v1::JobEvents>* writer) {
  Stream stream{.end = Status(grpc::StatusCode::UNAVAILABLE, "no stream was prepared")};
  {
    const absl::MutexLock lock(&mu_);
    if (!streams_.empty()) {
      stream = std::move(streams_.front());
      streams_.pop_front();
    }
  }
  for (const v1::JobEvents& events : stream.messages) {
    writer->Write(events);
  }
  const absl::MutexLock lock(&mu_);
  watched_from_.push_back(request->from_iteration());
  if (stream.hold) {
    Hold(context);
  }
  return stream.end;
}

Status FakeTraining::CancelJob(Context, const v1::CancelJobRequest* request, v1::Job* response) {
  return Change("cancel", request->id(), v1::JOB_STATE_CANCELLED, response);
}

Status FakeTraining::PauseJob(Context, const v1::PauseJobRequest* request, v1::Job* response) {
  return Change("pause", request->id(), v1::JOB_STATE_PAUSED, response);
}

Status FakeTraining::ResumeJob(Context, const v1::ResumeJobRequest* request, v1::Job* response) {
  return Change("resume", request->id(), v1::JOB_STATE_RUNNING, response);
}

Status FakeTraining::ReviseJob(Context, const v1::ReviseJobRequest* request, v1::Job* response) {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  {
    const absl::MutexLock lock(&mu_);
    v1::Job& job = jobs_[request->id()];
    if (request->spec().iterations() > job.spec().iterations()) {
      state = v1::JOB_STATE_RUNNING;
    }
    *job.mutable_spec() = request->spec();
  }
  return Change("revise", request->id(), state, response);
}

Status FakeTraining::DeleteJob(Context, const v1::DeleteJobRequest* request,
                               v1::DeleteJobResponse*) {
  v1::Job job;
  return Change("delete", request->id(), v1::JOB_STATE_UNSPECIFIED, &job);
}

Status FakeTraining::Evaluate(Context, const v1::EvaluateRequest* request,
                              v1::Evaluation* response) {
  const absl::MutexLock lock(&mu_);
  evaluated_.push_back(*request);
  *response = evaluation_;
  return Begin("evaluate");
}

Status FakeTraining::ListCheckpoints(Context, const v1::ListCheckpointsRequest*,
                                     v1::ListCheckpointsResponse* response) {
  const absl::MutexLock lock(&mu_);
  for (const v1::CheckpointInfo& info : checkpoints_) {
    *response->add_checkpoints() = info;
  }
  return Begin("checkpoints");
}

Status FakeTraining::DownloadCheckpoint(Context context,
                                        const v1::DownloadCheckpointRequest* request,
                                        grpc::ServerWriter<v1::FileChunk>* writer) {
  std::string file;
  uint64_t break_after = UINT64_MAX;
  {
    const absl::MutexLock lock(&mu_);
    calls_.push_back(absl::StrCat("download ", request->checkpoint(), " ", request->offset()));
    file = checkpoint_files_[request->checkpoint()];
    std::swap(break_after, break_after_);
  }
  constexpr uint64_t kPiece = 1000;
  for (uint64_t offset = request->offset(); offset < file.size(); offset += kPiece) {
    if (offset >= break_after) {
      return {grpc::StatusCode::UNAVAILABLE, "broken"};
    }
    v1::FileChunk chunk;
    chunk.set_offset(offset);
    chunk.set_data(file.substr(offset, kPiece));
    writer->Write(chunk);
    const absl::MutexLock lock(&mu_);
    if (hold_downloads_) {
      download_held_ = true;
      Hold(context);
    }
  }
  return Status::OK;
}

Status FakeTraining::UploadCheckpoint(Context,
                                      grpc::ServerReader<v1::UploadCheckpointRequest>* reader,
                                      v1::Job* response) {
  std::string file;
  uint64_t announced = 0;
  v1::UploadCheckpointRequest request;
  while (reader->Read(&request)) {
    announced = std::max(announced, request.bytes());
    file += request.chunk().data();
  }
  const absl::MutexLock lock(&mu_);
  uploaded_checkpoint_ = file;
  if (announced != file.size()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "not the announced size"};
  }
  response->set_id("adopted");
  response->set_state(v1::JOB_STATE_SUCCEEDED);
  return Status::OK;
}

Status FakeTraining::BeginDataSetUpload(Context, const v1::BeginDataSetUploadRequest* request,
                                        v1::BeginUploadResponse* response) {
  const absl::MutexLock lock(&mu_);
  const std::string& received = uploads_[request->sha256()];
  response->set_offset(received.size());
  response->set_complete(received.size() == request->bytes());
  return Begin("begin " + request->name());
}

Status FakeTraining::UploadDataSet(Context, grpc::ServerReader<v1::UploadDataSetRequest>* reader,
                                   v1::DataSetDescription* response) {
  v1::UploadDataSetRequest request;
  std::string sha256;
  while (reader->Read(&request)) {
    const absl::MutexLock lock(&mu_);
    if (request.has_file()) {
      sha256 = request.file().sha256();
      response->set_name(request.file().name());
      upload_offsets_.push_back(request.chunk().offset());
    }
    std::string& received = uploads_[sha256];
    if (request.chunk().offset() != received.size()) {
      return {grpc::StatusCode::OUT_OF_RANGE, "not where the upload stands"};
    }
    received += request.chunk().data();
    if (received.size() >= break_after_) {
      break_after_ = UINT64_MAX;
      return {grpc::StatusCode::UNAVAILABLE, "broken"};
    }
  }
  response->set_sha256(sha256);
  return Status::OK;
}

Status FakeTraining::ListDataSets(Context, const v1::ListDataSetsRequest*,
                                  v1::ListDataSetsResponse* response) {
  const absl::MutexLock lock(&mu_);
  for (const v1::DataSetDescription& data_set : data_sets_) {
    *response->add_data_sets() = data_set;
  }
  return Begin("datasets");
}

Status FakeTraining::DeleteDataSet(Context, const v1::DeleteDataSetRequest* request,
                                   v1::DeleteDataSetResponse*) {
  const absl::MutexLock lock(&mu_);
  return Begin(absl::StrCat("remove ", request->data_set(), request->force() ? " by force" : ""));
}

Status FakeTraining::ListWorkers(Context, const v1::ListWorkersRequest*,
                                 v1::ListWorkersResponse* response) {
  const absl::MutexLock lock(&mu_);
  for (const v1::WorkerInfo& worker : workers_) {
    *response->add_workers() = worker;
  }
  return Begin("workers");
}

}  // namespace innerloop::client
