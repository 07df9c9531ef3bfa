#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "tests/server/coordinator/cluster.h"
#include "tests/server/service/training_service_fixture.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(TrainingServiceTest, SubmitsWhatFitsTheLimits) {
  v1::SubmitJobRequest request;
  v1::Job job;
  grpc::Status status = stub_->SubmitJob(&context_, request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "spec is missing");

  request.mutable_spec()->set_name("mine");
  request.set_request_id(std::string(101, 'x'));
  grpc::ClientContext second;
  status = stub_->SubmitJob(&second, request, &job);
  EXPECT_THAT(status.error_message(), HasSubstr("request_id has 101 characters; at most 100"));

  request.set_request_id("once");
  grpc::ClientContext third;
  status = stub_->SubmitJob(&third, request, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(job.spec().name(), "mine");
}

TEST_F(TrainingServiceTest, ErrorsOfTheCoordinatorReachTheCaller) {
  v1::GetJobRequest request;
  v1::Job job;
  request.set_id("none");
  grpc::Status status = stub_->GetJob(&context_, request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no job 'none'");
  request.clear_id();
  grpc::ClientContext second;
  status = stub_->GetJob(&second, request, &job);
  EXPECT_EQ(status.error_message(), "id is missing");
}

TEST_F(TrainingServiceTest, JobsGoThroughTheirStates) {
  Put("a", v1::JOB_STATE_RUNNING);
  v1::Job job;
  v1::PauseJobRequest pause;
  pause.set_id("a");
  grpc::ClientContext contexts[5];
  ASSERT_TRUE(stub_->PauseJob(&contexts[0], pause, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_PAUSED);
  v1::ResumeJobRequest resume;
  resume.set_id("a");
  ASSERT_TRUE(stub_->ResumeJob(&contexts[1], resume, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_RUNNING);
  v1::ExtendJobRequest extend;
  extend.set_id("a");
  extend.set_iterations(77);
  ASSERT_TRUE(stub_->ExtendJob(&contexts[2], extend, &job).ok());
  EXPECT_EQ(job.spec().iterations(), 77);
  v1::CancelJobRequest cancel;
  cancel.set_id("a");
  ASSERT_TRUE(stub_->CancelJob(&contexts[3], cancel, &job).ok());
  v1::DeleteJobRequest remove;
  remove.set_id("a");
  v1::DeleteJobResponse removed;
  ASSERT_TRUE(stub_->DeleteJob(&contexts[4], remove, &removed).ok());
  EXPECT_EQ(coordinator_.Get("a").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TrainingServiceTest, ASpecificationThatNoWorkerCouldBeSentIsRefused) {
  v1::SubmitJobRequest request;
  v1::ClassSplit::Names& names = *request.mutable_spec()
                                      ->mutable_tasks()
                                      ->mutable_episodes()
                                      ->mutable_split()
                                      ->mutable_names();
  for (int i = 0; i < 22; ++i) {
    names.add_train(std::string(100'000, 'c'));
  }
  v1::Job job;
  const grpc::Status status = stub_->SubmitJob(&context_, request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("at most 2097152 are taken"));
}

TEST_F(TrainingServiceTest, WatchesAndEvaluationsEndWhenTheServiceStops) {
  Put("a", v1::JOB_STATE_RUNNING);
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_id("a");
  const auto reader = stub_->WatchJob(&context, request);
  v1::JobEvents events;
  ASSERT_TRUE(reader->Read(&events));
  coordinator_.evaluate = [this](const auto& /*done*/) { service_.Stop(); };
  v1::EvaluateRequest evaluate;
  evaluate.set_checkpoint("a");
  v1::Evaluation evaluation;
  const grpc::Status status = stub_->Evaluate(&context_, evaluate, &evaluation);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  while (reader->Read(&events)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TrainingServiceTest, AnEvaluationIsGivenUpWhenItsCallerGoesAway) {
  absl::Notification given_up;
  coordinator_.give_up = [&] { given_up.Notify(); };
  coordinator_.evaluate = [this](const auto& /*done*/) { context_.TryCancel(); };
  v1::EvaluateRequest request;
  request.set_checkpoint("a");
  v1::Evaluation evaluation;
  EXPECT_EQ(stub_->Evaluate(&context_, request, &evaluation).error_code(),
            grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(given_up.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(TrainingServiceTest, AnEvaluationIsWaitedFor) {
  std::thread worker;
  coordinator_.evaluate = [&](std::function<void(absl::StatusOr<v1::Evaluation>)> done) {
    worker = std::thread([done = std::move(done)] { done(PeriodicEvaluation(9, 0.25)); });
  };
  v1::EvaluateRequest request;
  request.set_checkpoint("a@best");
  v1::Evaluation evaluation;
  const grpc::Status status = stub_->Evaluate(&context_, request, &evaluation);
  worker.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(evaluation.iteration(), 9);
}

TEST_F(TrainingServiceTest, ACheckpointTravelsThereAndBack) {
  Put("a", v1::JOB_STATE_SUCCEEDED);
  Checkpoint checkpoint = CheckpointOf("a", 100);
  v1::ParameterLayout large;
  v1::TensorSpec* tensor = large.add_tensors();
  tensor->set_name("weight");
  tensor->add_shape(600'000);
  checkpoint.layout = *Layout::Create(large);
  checkpoint.parameters = FlatBuffer(checkpoint.layout.flat_size());
  ASSERT_TRUE(checkpoints_.Write(checkpoint, /*best=*/false, /*keep=*/1).ok());
  const std::string file = *FileSystem::Real().Read(*checkpoints_.PathOf("a"));

  v1::DownloadCheckpointRequest request;
  request.set_checkpoint("a@100");
  std::string received;
  {
    grpc::ClientContext context;
    const auto reader = stub_->DownloadCheckpoint(&context, request);
    int chunks = 0;
    for (v1::FileChunk chunk; reader->Read(&chunk); ++chunks) {
      EXPECT_EQ(chunk.offset(), received.size());
      EXPECT_LE(chunk.data().size(), size_t{1} << 20);
      received += chunk.data();
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_EQ(chunks, 3);
  }
  EXPECT_EQ(received, file);
  {
    grpc::ClientContext context;
    request.set_offset(file.size() - 10);
    const auto reader = stub_->DownloadCheckpoint(&context, request);
    v1::FileChunk chunk;
    ASSERT_TRUE(reader->Read(&chunk));
    EXPECT_EQ(chunk.data(), file.substr(file.size() - 10));
    EXPECT_FALSE(reader->Read(&chunk));
  }
  {
    grpc::ClientContext context;
    request.set_offset(file.size() + 1);
    v1::FileChunk chunk;
    const auto reader = stub_->DownloadCheckpoint(&context, request);
    EXPECT_FALSE(reader->Read(&chunk));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  }
}

TEST_F(TrainingServiceTest, AnUploadedCheckpointBecomesAnEndedJobOfItsOwn) {
  const auto upload = [&](const std::string& file, uint64_t bytes, v1::Job* job) {
    grpc::ClientContext context;
    const auto writer = stub_->UploadCheckpoint(&context, job);
    v1::UploadCheckpointRequest request;
    request.set_bytes(bytes);
    writer->Write(request);
    request.clear_bytes();
    for (size_t offset = 0; offset < file.size(); offset += 1000) {
      request.mutable_chunk()->set_offset(offset);
      request.mutable_chunk()->set_data(file.substr(offset, 1000));
      writer->Write(request);
    }
    writer->WritesDone();
    return writer->Finish();
  };
  Checkpoint checkpoint = CheckpointOf("elsewhere", 100);
  *checkpoint.metadata.mutable_spec() = SmallJob(100);
  const std::string path = folder_ / "checkpoint";
  ASSERT_TRUE(WriteCheckpoint(FileSystem::Real(), path, checkpoint).ok());
  std::string file = *FileSystem::Real().Read(path);

  v1::Job job;
  grpc::Status status = upload(file, file.size(), &job);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_NE(job.id(), "elsewhere");
  EXPECT_THAT(coordinator_.adopted(), ElementsAre(job.id()));
  const v1::CheckpointMetadata stored = checkpoints_.Read(job.id(), nullptr)->metadata;
  EXPECT_EQ(stored.iteration(), 100);
  EXPECT_EQ(stored.spec().limits().shard_timeout_seconds(), 600) << "the job was not resolved";

  status = upload(file, 2 << 20, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("1 to 1048576"));
  status = upload(file, file.size() + 1, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  status = upload(file, file.size() - 1, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  file[file.size() - 1] ^= 1;
  status = upload(file, file.size(), &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  checkpoint.metadata.mutable_spec()->set_meta_batch(0);
  ASSERT_TRUE(WriteCheckpoint(FileSystem::Real(), path, checkpoint).ok());
  file = *FileSystem::Real().Read(path);
  status = upload(file, file.size(), &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("the checkpoint that was sent is refused: meta_batch is missing or 0"));
  EXPECT_THAT(coordinator_.adopted(), SizeIs(1));
  EXPECT_THAT(*FileSystem::Real().List(folder_ / "uploads"), IsEmpty());
}

TEST_F(TrainingServiceTest, CheckpointsAreListedWithTheBestOne) {
  Put("a", v1::JOB_STATE_RUNNING);
  Checkpoint first = CheckpointOf("a", 1);
  Checkpoint second = CheckpointOf("a", 2);
  ASSERT_TRUE(checkpoints_.Write(first, /*best=*/true, 1).ok());
  ASSERT_TRUE(checkpoints_.Write(second, /*best=*/false, 1).ok());
  v1::ListCheckpointsRequest request;
  v1::ListCheckpointsResponse response;
  request.set_id("a");
  ASSERT_TRUE(stub_->ListCheckpoints(&context_, request, &response).ok());
  ASSERT_EQ(response.checkpoints_size(), 2);
  EXPECT_TRUE(response.checkpoints(0).best());
  EXPECT_EQ(response.checkpoints(1).iteration(), 2);
  request.set_id("none");
  grpc::ClientContext second_context;
  EXPECT_EQ(stub_->ListCheckpoints(&second_context, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(TrainingServiceTest, ADataSetArrivesInPiecesAndIsKeptWhileAJobUsesIt) {
  DatasetContent content;
  content.name = "digits";
  content.example_shape = {2};
  content.labels = {0, 0, 1, 1};
  content.features = {1, 2, 3, 4, 5, 6, 7, 8};
  content.class_names = {"a", "b"};
  const std::string path = folder_ / "file";
  ASSERT_TRUE(WriteDataset(content, path).ok());
  const std::string file = *FileSystem::Real().Read(path);

  v1::UploadDataSetRequest request;
  request.mutable_file()->set_name("digits");
  request.mutable_file()->set_sha256(Sha256::Hex(file));
  request.mutable_file()->set_bytes(file.size());
  v1::DataSetDescription description;
  {
    grpc::ClientContext context;
    const auto writer = stub_->UploadDataSet(&context, &description);
    request.mutable_chunk()->set_data(file.substr(0, 300));
    writer->Write(request);
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("after 300 of"));
  }
  v1::BeginUploadResponse begun;
  ASSERT_TRUE(stub_->BeginDataSetUpload(&context_, request.file(), &begun).ok());
  EXPECT_EQ(begun.offset(), 300);
  {
    grpc::ClientContext context;
    const auto writer = stub_->UploadDataSet(&context, &description);
    request.mutable_chunk()->set_offset(300);
    request.mutable_chunk()->set_data(file.substr(300));
    writer->Write(request);
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(description.classes(), 2);
  }
  v1::ListDataSetsResponse listed;
  grpc::ClientContext contexts[4];
  ASSERT_TRUE(stub_->ListDataSets(&contexts[0], {}, &listed).ok());
  EXPECT_EQ(listed.data_sets_size(), 1);

  v1::DeleteDataSetRequest remove;
  v1::DeleteDataSetResponse removed;
  remove.set_data_set("digits");
  coordinator_.used_data_set = Sha256::Hex(file);
  EXPECT_EQ(stub_->DeleteDataSet(&contexts[1], remove, &removed).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  coordinator_.uses = {{"ended1", true}, {"ended2", true}};
  const grpc::Status needed = stub_->DeleteDataSet(&contexts[3], remove, &removed);
  EXPECT_EQ(needed.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(needed.error_message(), HasSubstr("jobs ended1, ended2"));
  EXPECT_EQ(data_sets_.List()->size(), 1);
  remove.set_force(true);
  EXPECT_TRUE(stub_->DeleteDataSet(&contexts[2], remove, &removed).ok());
  EXPECT_THAT(*data_sets_.List(), IsEmpty());
}

TEST_F(TrainingServiceTest, WorkersAreListed) {
  v1::ListWorkersResponse response;
  ASSERT_TRUE(stub_->ListWorkers(&context_, {}, &response).ok());
  ASSERT_EQ(response.workers_size(), 1);
  EXPECT_EQ(response.workers(0).name(), "one");
}

}  // namespace
}  // namespace innerloop::server
