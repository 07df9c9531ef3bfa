// What a worker does with its work items.
#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "tests/worker/worker_fixture.h"

namespace innerloop::worker {
namespace {

using ::testing::HasSubstr;

using WorkTest = WorkerFixture;

TEST_F(WorkTest, AShardsUpdateComesRightBehindItsMetrics) {
  const auto stream = StartWithJob();
  stream->SendShard(/*work_id=*/7, "j", /*version=*/0, /*first_task=*/10, /*last_task=*/14);
  const v1::Report report = stream->AwaitReport();
  ASSERT_TRUE(report.has_result()) << report.ShortDebugString();
  EXPECT_EQ(report.result().work_id(), 7u);
  EXPECT_EQ(report.result().metrics().tasks(), 4u);
  EXPECT_EQ(report.result().bytes(), 64u);
  EXPECT_FALSE(report.result().announced());
  const auto update = stream->AwaitBuffer(report.result().transfer(), 64);
  EXPECT_EQ(update[0], 4.F);
  EXPECT_EQ(update[2], 12.F);
  EXPECT_EQ(update[3], 0.F);
}

TEST_F(WorkTest, InitialParametersComeWithTheirLayout) {
  StartWorker();
  const auto stream = Welcome();
  stream->SendJob(Job());
  v1::Instruction instruction;
  instruction.mutable_work()->set_id(1);
  instruction.mutable_work()->set_job_id("j");
  instruction.mutable_work()->mutable_initialise()->set_max_parameters(3);
  stream->Send(instruction);
  const v1::Report report = stream->AwaitReport();
  ASSERT_TRUE(report.has_result()) << report.ShortDebugString();
  EXPECT_EQ(report.result().layout().tensors(0).name(), "w");
  EXPECT_EQ(stream->AwaitBuffer(report.result().transfer(), report.result().bytes())[0], 5.F);
}

TEST_F(WorkTest, WhatPeopleShouldKnowOfAJobIsReportedOnce) {
  const auto stream = StartWithJob();
  stream->SendShard(/*work_id=*/7, "j", /*version=*/0, /*first_task=*/0, /*last_task=*/1);
  const v1::JobNotice memory = stream->AwaitNotice();
  EXPECT_EQ(memory.job_id(), "j");
  EXPECT_EQ(memory.severity(), v1::LOG_SEVERITY_INFO);
  EXPECT_THAT(memory.message(), HasSubstr("peak memory of its slots: estimated 1 x 0.000 MiB"));
  EXPECT_EQ(stream->AwaitNotice().message(), "told once");
  stream->AwaitBuffer(stream->AwaitReport().result().transfer(), 64);
  // The next work item of the job brings none; one of another job does.
  stream->SendShard(/*work_id=*/8, "j", /*version=*/0, /*first_task=*/1, /*last_task=*/2);
  stream->AwaitBuffer(stream->AwaitReport().result().transfer(), 64);
  v1::JobDescription other = Job();
  other.set_job_id("k");
  stream->SendJob(other);
  stream->SendParameters("k", 0, Parameters());
  stream->SendShard(/*work_id=*/9, "k", /*version=*/0, /*first_task=*/0, /*last_task=*/1);
  EXPECT_EQ(stream->AwaitNotice().job_id(), "k");
}

TEST_F(WorkTest, MoreParametersThanTheCoordinatorAllowsAreTheJobsFault) {
  StartWorker();
  const auto stream = Welcome();
  stream->SendJob(Job());
  v1::Instruction instruction;
  instruction.mutable_work()->set_id(1);
  instruction.mutable_work()->set_job_id("j");
  instruction.mutable_work()->mutable_initialise()->set_max_parameters(2);
  stream->Send(instruction);
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.failed().code(), static_cast<int>(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(report.failed().message(), HasSubstr("3 scalars; at most 2 are allowed"));
}

TEST_F(WorkTest, AnEvaluationsSumsComeWithoutABuffer) {
  const auto stream = StartWithJob();
  v1::Instruction instruction;
  instruction.mutable_work()->set_id(2);
  instruction.mutable_work()->set_job_id("j");
  instruction.mutable_work()->mutable_evaluation()->set_last_episode(6);
  stream->Send(instruction);
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.result().work_id(), 2u);
  EXPECT_EQ(report.result().bytes(), 0u);
  EXPECT_EQ(report.result().evaluation().episodes(), 6u);
  EXPECT_EQ(report.result().evaluation().loss(0), 1.0);
}

TEST_F(WorkTest, AnAdaptationsFileComesPadded) {
  const auto stream = StartWithJob();
  v1::Instruction instruction;
  instruction.mutable_work()->set_id(3);
  instruction.mutable_work()->set_job_id("j");
  v1::AdaptationTask& task = *instruction.mutable_work()->mutable_adaptation();
  stream->Send(instruction);
  const v1::Report plain = stream->AwaitReport();
  EXPECT_EQ(plain.result().adaptation().support_losses(0), 1.0);
  EXPECT_EQ(plain.result().bytes(), 0u);
  instruction.mutable_work()->set_id(4);
  task.set_format(v1::ExportRequest::FORMAT_SAFETENSORS);
  stream->Send(instruction);
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.result().adaptation().file_bytes(), 7u);
  EXPECT_EQ(report.result().bytes(), 8u);
  const auto file = stream->AwaitBuffer(report.result().transfer(), 8);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.data()), 8),
            std::string("adapted\0", 8));
}

TEST_F(WorkTest, AnErrorOfTheProgramIsTheAnswerAndTheNextShardRuns) {
  hook_ = [](const v1::Shard& shard) {
    return shard.first_task() == 0 ? absl::InvalidArgumentError("model.mlp: no such layer")
                                   : absl::OkStatus();
  };
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.failed().work_id(), 1u);
  EXPECT_EQ(report.failed().code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(report.failed().message(), "model.mlp: no such layer");
  stream->SendShard(2, "j", 0, 1, 2);
  EXPECT_EQ(stream->AwaitReport().result().work_id(), 2u);
}

TEST_F(WorkTest, ALongErrorIsCutBetweenCharacters) {
  hook_ = [](const v1::Shard& /*shard*/) {
    std::string message = "x";
    while (message.size() < 20'000) {
      message += "\xc3\xa9";
    }
    return absl::InternalError(message);
  };
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.failed().work_id(), 1u);
  EXPECT_EQ(report.failed().message().size(), 9'999);
}

TEST_F(WorkTest, WorkThatLacksItsJobOrItsVersionFailsAndSaysWhat) {
  const auto stream = StartWithJob();
  stream->SendShard(1, "other", 0, 0, 1);
  EXPECT_THAT(stream->AwaitReport().failed().message(), HasSubstr("job other was not described"));
  stream->SendShard(2, "j", /*version=*/5, 0, 1);
  EXPECT_THAT(stream->AwaitReport().failed().message(),
              HasSubstr("version 5 of job j was not sent"));
}

TEST_F(WorkTest, ParametersOfAnotherSizeThanTheLayoutsAreRefused) {
  const auto stream = StartWithJob();
  stream->SendParameters("j", 1, std::vector<float>(32));
  stream->SendShard(1, "j", 1, 0, 1);
  EXPECT_THAT(stream->AwaitReport().failed().message(),
              HasSubstr("32 values of parameters; its layout has 16"));
}

TEST_F(WorkTest, LargeUpdatesAreAnnouncedAndSentWhenAskedFor) {
  size_ = 2'000'000;  // 8 MB: above kDirectResultBytes
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  const v1::Report report = stream->AwaitReport();
  EXPECT_TRUE(report.result().announced());
  ASSERT_EQ(report.result().bytes(), 8'000'000u);
  // What comes next is another shard's announcement, not frames of the first.
  stream->SendShard(2, "j", 0, 0, 2);
  EXPECT_EQ(stream->AwaitReport().result().work_id(), 2u);
  v1::Instruction pull;
  pull.mutable_pull()->set_work_id(1);
  stream->Send(pull);
  EXPECT_EQ(stream->AwaitBuffer(report.result().transfer(), 8'000'000), Parameters());
}

TEST_F(WorkTest, AnAnnouncedResultThatIsDroppedIsNotSent) {
  size_ = 2'000'000;
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  EXPECT_TRUE(stream->AwaitReport().result().announced());
  stream->SendDrop(1);
  v1::Instruction pull;
  pull.mutable_pull()->set_work_id(1);
  stream->Send(pull);
  stream->SendShard(2, "j", 0, 0, 1);
  EXPECT_EQ(stream->AwaitReport().result().work_id(), 2u);
}

TEST_F(WorkTest, DroppedWorkIsNotAnsweredWhetherItHasBegunOrNot) {
  std::atomic<int> begun{0};
  hook_ = [&](const v1::Shard& shard) {
    begun += 1;
    if (shard.first_task() == 1) {
      gate_.Enter();
    }
    return absl::OkStatus();
  };
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 1, 2);
  gate_.AwaitInside(1);
  stream->SendShard(2, "j", 0, 2, 3);
  stream->SendDrop(1);
  stream->SendDrop(2);
  stream->SendShard(3, "j", 0, 3, 4);
  // Its failure tells that everything before it was read.
  stream->SendShard(4, "j", /*version=*/9, 3, 4);
  EXPECT_EQ(stream->AwaitReport().failed().work_id(), 4u);
  gate_.Open();
  EXPECT_EQ(stream->AwaitReport().result().work_id(), 3u);
  EXPECT_EQ(begun, 2);
}

TEST_F(WorkTest, SlotsComputeAtTheSameTime) {
  options_.slots = 2;
  hook_ = [&](const v1::Shard&) {
    gate_.Enter();
    return absl::OkStatus();
  };
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  stream->SendShard(2, "j", 0, 1, 2);
  gate_.AwaitInside(2);
}

TEST_F(WorkTest, AJobWhoseProgramIsTooLargeForThisWorkerIsDeclinedOnceAndItsWorkGivenBack) {
  factory_ = [](const v1::JobDescription&, std::shared_ptr<const Dataset>,
                uint64_t max_parameters) -> absl::StatusOr<std::unique_ptr<meta::Program>> {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", max_parameters));
  };
  options_.max_parameter_bytes = 1600;
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.declined().job_id(), "j");
  EXPECT_EQ(report.declined().reason(), "more than 100");
  EXPECT_EQ(stream->AwaitReport().returned().work_id(), 1u);
  stream->SendShard(2, "j", 0, 0, 1);
  EXPECT_EQ(stream->AwaitReport().returned().work_id(), 2u);
}

// A job on a data set of 20 examples, which the coordinator has.
class DataSetWorkTest : public WorkerFixture {
 protected:
  DataSetWorkTest() {
    DatasetContent content;
    content.name = "digits";
    content.example_shape = {2, 2, 1};
    content.images.assign(80, 7);
    content.labels.assign(20, 0);
    content.class_names = {"zero"};
    const std::string source = folder_ / "source";
    EXPECT_EQ(WriteDataset(content, source), absl::OkStatus());
    const std::string file = *FileSystem::Real().Read(source, 1 << 20);
    EXPECT_EQ(FileSystem::Real().Remove(source), absl::OkStatus());
    job_ = Job();
    job_.mutable_data_set()->set_name("digits");
    job_.mutable_data_set()->set_sha256(Sha256::Hex(file));
    job_.mutable_data_set()->set_bytes(file.size());
    coordinator_.files[job_.data_set().sha256()] = file;
    factory_ = [this](const v1::JobDescription&, std::shared_ptr<const Dataset> data_set,
                      uint64_t) -> absl::StatusOr<std::unique_ptr<meta::Program>> {
      examples_ = data_set->examples();
      return std::make_unique<FakeProgram>(size_, hook_);
    };
  }
  v1::Report ReportOfOneShard() {
    StartWorker();
    const auto stream = Welcome();
    stream->SendJob(job_);
    stream->SendParameters("j", 0, Parameters());
    stream->SendShard(1, "j", 0, 0, 1);
    return stream->AwaitReport();
  }

  v1::JobDescription job_;
  std::atomic<int64_t> examples_{0};
};

TEST_F(DataSetWorkTest, AnAdaptationDoesWithoutTheDataSet) {
  factory_ = [this](const v1::JobDescription& job, std::shared_ptr<const Dataset> data_set,
                    uint64_t) -> absl::StatusOr<std::unique_ptr<meta::Program>> {
    EXPECT_EQ(data_set, nullptr);
    EXPECT_EQ(job.data_set().name(), "digits");
    return std::make_unique<FakeProgram>(size_, hook_);
  };
  coordinator_.files.clear();
  StartWorker();
  const auto stream = Welcome();
  stream->SendJob(job_);
  stream->SendParameters("j", 0, Parameters());
  v1::Instruction instruction;
  instruction.mutable_work()->set_id(1);
  instruction.mutable_work()->set_job_id("j");
  instruction.mutable_work()->mutable_adaptation();
  stream->Send(instruction);
  const v1::Report report = stream->AwaitReport();
  EXPECT_TRUE(report.result().has_adaptation()) << report.ShortDebugString();
}

TEST_F(DataSetWorkTest, AJobsDataSetIsFetchedBeforeItsFirstShard) {
  const v1::Report report = ReportOfOneShard();
  EXPECT_EQ(report.result().work_id(), 1u) << report.ShortDebugString();
  EXPECT_EQ(examples_, 20);
  EXPECT_EQ(coordinator_.fetches().size(), 1);
}

TEST_F(DataSetWorkTest, ABusyCoordinatorIsNoReasonToDeclineAJob) {
  coordinator_.on_fetch = [this](const v1::FetchFileRequest& request,
                                 grpc::ServerWriter<v1::FileChunk>* writer) {
    if (coordinator_.fetches().size() == 1) {
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no thread");
    }
    v1::FileChunk chunk;
    chunk.set_data(coordinator_.files[request.sha256()]);
    writer->Write(chunk);
    return grpc::Status::OK;
  };
  const v1::Report report = ReportOfOneShard();
  EXPECT_EQ(report.result().work_id(), 1u) << report.ShortDebugString();
}

TEST_F(DataSetWorkTest, AJobWhoseDataSetDoesNotFitTheCacheIsDeclined) {
  options_.max_cache_bytes = 100;
  const v1::Report report = ReportOfOneShard();
  EXPECT_EQ(report.declined().job_id(), "j") << report.ShortDebugString();
  EXPECT_THAT(report.declined().reason(), HasSubstr("no room for data set 'digits'"));
}

TEST_F(WorkTest, ParametersThatDoNotFitTheMemoryDeclineTheJob) {
  options_.max_parameter_bytes = 100;
  const auto stream = StartWithJob();  // takes 64 bytes
  stream->SendParameters("j", 1, Parameters());
  const v1::Report report = stream->AwaitReport();
  EXPECT_EQ(report.declined().job_id(), "j");
  EXPECT_THAT(report.declined().reason(), HasSubstr("64 of 100 are in use"));
  EXPECT_THAT(report.declined().reason(), HasSubstr("--max-memory"));
}

TEST_F(WorkTest, VersionsThatAreReleasedMakeRoomForOthers) {
  options_.max_parameter_bytes = 3 * 64 * 4;
  const auto stream = StartWithJob();
  for (uint64_t version = 1; version < 40; ++version) {
    stream->SendParameters("j", version, Parameters());
    stream->SendShard(version, "j", version, 0, 1);
    const v1::Report report = stream->AwaitReport();
    ASSERT_EQ(report.result().work_id(), version) << report.ShortDebugString();
    stream->AwaitBuffer(report.result().transfer(), 64);
    v1::Instruction release;
    release.mutable_release()->set_job_id("j");
    release.mutable_release()->set_below_version(version);
    stream->Send(release);
  }
  stream->SendShard(100, "j", 38, 0, 1);
  EXPECT_THAT(stream->AwaitReport().failed().message(), HasSubstr("version 38"));
}

TEST_F(WorkTest, AReleasedJobTakesItsWorkAndParametersAlong) {
  hook_ = [&](const v1::Shard&) {
    gate_.Enter();
    return absl::OkStatus();
  };
  const auto stream = StartWithJob();
  stream->SendShard(1, "j", 0, 0, 1);
  stream->SendShard(2, "j", 0, 0, 1);
  gate_.AwaitInside(1);
  v1::Instruction release;
  release.mutable_release_job()->set_job_id("j");
  stream->Send(release);
  stream->SendShard(3, "j", 0, 0, 1);
  EXPECT_THAT(stream->AwaitReport().failed().message(), HasSubstr("job j was not described"));
  gate_.Open();
  stream->SendJob(Job());
  stream->SendParameters("j", 0, Parameters());
  stream->SendShard(4, "j", 0, 0, 1);
  EXPECT_EQ(stream->AwaitReport().result().work_id(), 4u);
}

}  // namespace
}  // namespace innerloop::worker
