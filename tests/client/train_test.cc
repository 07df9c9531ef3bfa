// `train` and `evaluate FILE` with programs that stand for the cluster's: the coordinator is a
// script that says where the fake service listens.
#include <csignal>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Threads of the fake service start before the program blocks signals; they must never get one.
class BlockSignals : public ::testing::Environment {
 public:
  void SetUp() override {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
};
const auto* const kBlockSignals = ::testing::AddGlobalTestEnvironment(new BlockSignals());

class TrainTest : public ::testing::Test {
 protected:
  TrainTest() {
    folder_.WriteProgram(
        "innerloop-coordinator",
        absl::StrCat("echo 'innerloop-coordinator: listening on ", service_.address(),
                     ", metrics on 127.0.0.1:7401'\nexec sleep 1000\n"));
    folder_.WriteProgram("innerloop-worker",
                         absl::StrCat("echo >> ", folder_.path(), "/workers\nexec sleep 1000\n"));
  }

  Outcome Train(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", job_, "--workers", "1", "--state-dir", state_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgram(arguments, folder_.path());
  }

  static v1::JobSpec Resolved() {
    return *ResolveJobSpec(*ParseJobSpec(SinusoidJob(), "job"), nullptr);
  }

  static v1::Job Waves(v1::JobState state, uint64_t iteration) {
    v1::Job job;
    job.set_id("j1");
    job.set_state(state);
    job.set_iteration(iteration);
    job.set_training_seconds(0.5);
    *job.mutable_spec() = Resolved();
    job.mutable_last_checkpoint()->set_path("/s/jobs/j1/checkpoint.safetensors");
    job.mutable_last_checkpoint()->set_parameters_sha256("abc");
    job.mutable_final()->add_steps()->set_loss(0.25);
    return job;
  }

  void AddEnd(const v1::Job& job) {
    v1::JobEvents events;
    *events.mutable_job() = job;
    service_.AddWatch({.messages = {events}});
  }

  FakeTraining service_;
  TestFolder folder_;
  const std::string job_ = folder_.Write("waves.textproto", SinusoidJob());
  const std::string state_ = folder_.path() + "/run";
};

TEST_F(TrainTest, EndsWithOneObjectAsJson) {
  AddEnd(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train({"--format=json", "--set", "seed=5"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, IsEmpty());
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["job"], "j1");
  EXPECT_EQ(result["state"], "SUCCEEDED");
  EXPECT_EQ(result["iterations"], 100);
  EXPECT_EQ(result["seconds"], 0.5);
  EXPECT_EQ(result["iterations_per_second"], 200.0);
  EXPECT_EQ(result["checkpoint"], "/s/jobs/j1/checkpoint.safetensors");
  EXPECT_EQ(result["parameters_sha256"], "abc");
  EXPECT_EQ(result["evaluation"]["steps"][0]["loss"], 0.25);
  EXPECT_EQ(result["periodic_evaluations"], json::array());
  EXPECT_EQ(result["published"], json::array());
  EXPECT_EQ(service_.submitted()[0].spec().seed(), 5);
  EXPECT_TRUE(std::filesystem::exists(state_ + "/logs/coordinator.log"));
}

TEST_F(TrainTest, ShowsTheEvaluationAndWhereTheCheckpointLies) {
  AddEnd(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("job new1 in " + state_), HasSubstr("http://127.0.0.1:7401/metrics"),
                    HasSubstr("iteration 100 of 100 (100 %)")));
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("0.2500 ± 0.0000"), HasSubstr("/s/jobs/j1/checkpoint.safetensors"),
                    HasSubstr("200/s")));
}

TEST_F(TrainTest, AFailedJobIsShownAndFails) {
  v1::Job job = Waves(v1::JOB_STATE_FAILED, 12);
  job.set_failure_message("the update of iteration 12 is not finite");
  AddEnd(job);
  const Outcome outcome = Train({"--format=json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(json::parse(outcome.out)["state"], "FAILED");
  EXPECT_EQ(outcome.err, "innerloop: job j1 failed: the update of iteration 12 is not finite\n");
}

TEST_F(TrainTest, PeriodicEvaluationsAndPublishedFiguresAreInTheObject) {
  const std::vector<std::string> more = {"--format=json", "--set", "evaluation.every=50", "--set",
                                         "published=[{source: \"a paper\", step: 1, loss: 0.35}]"};
  v1::Job job = Waves(v1::JOB_STATE_SUCCEEDED, 100);
  job.mutable_spec()->mutable_evaluation()->set_every(50);
  v1::PublishedResult& paper = *job.mutable_spec()->add_published();
  paper.set_source("a paper");
  paper.set_step(1);
  paper.set_loss(0.35);
  AddEnd(job);
  // The second watch gives what earlier runs did, too.
  v1::JobEvents events;
  *events.mutable_job() = job;
  for (const uint64_t version : {50, 100}) {
    v1::Evaluation& evaluation = *events.add_evaluations();
    evaluation.set_iteration(version);
    evaluation.set_periodic(true);
  }
  events.add_evaluations()->set_final(true);
  service_.AddWatch({.messages = {events}});
  const Outcome outcome = Train(more);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  ASSERT_EQ(result["periodic_evaluations"].size(), 2);
  EXPECT_EQ(result["periodic_evaluations"][1]["iteration"], 100);
  EXPECT_EQ(result["published"],
            json::parse(R"([{"source": "a paper", "step": 1, "loss": 0.35}])"));
  EXPECT_THAT(service_.watched_from(), ElementsAre(0, 0));
}

TEST_F(TrainTest, ARunThatStoppedGoesOn) {
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 40));
  AddEnd(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(service_.submitted(), IsEmpty());
  EXPECT_THAT(service_.calls(), ElementsAre("list", "get j1", "resume j1"));
  EXPECT_THAT(service_.watched_from(), ElementsAre(40));
  EXPECT_THAT(outcome.err, HasSubstr("going on with job j1 at iteration 40"));
}

TEST_F(TrainTest, SchedulesMayDifferFromTheRunsAndTakeEffect) {
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 40));
  AddEnd(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train(
      {"--set", "evaluation.every=20", "--set", "name=renamed", "--set", "checkpoint.every=9"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(service_.calls(), ElementsAre("list", "get j1", "revise j1", "resume j1"));
  EXPECT_EQ(service_.job("j1").spec().evaluation().every(), 20);
  EXPECT_EQ(service_.job("j1").spec().name(), "renamed");
}

TEST_F(TrainTest, MoreIterationsExtendTheRun) {
  service_.AddJob(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  v1::Job longer = Waves(v1::JOB_STATE_SUCCEEDED, 150);
  AddEnd(longer);
  const Outcome outcome = Train({"--set", "iterations=150"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(service_.calls(), ElementsAre("list", "get j1", "revise j1"));
  EXPECT_THAT(service_.watched_from(), ElementsAre(100));
}

TEST_F(TrainTest, AFinishedRunIsShownAgainWithoutWorkers) {
  service_.AddJob(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train({"--format=json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["iterations"], 100);
  EXPECT_THAT(service_.watched_from(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/workers"));
}

TEST_F(TrainTest, AnotherJobInTheFolderIsRefusedWithTheDifference) {
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 40));
  const Outcome outcome = Train({"--set", "meta_batch=8"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("meta_batch"), HasSubstr("4"), HasSubstr("8"),
                                 HasSubstr("--state-dir")));
  EXPECT_THAT(service_.calls(), ElementsAre("list", "get j1"));
}

TEST_F(TrainTest, ARefusedRunSendsNoDataSet) {
  const std::string digits = folder_.path() + "/digits.safetensors";
  WriteDigits(digits);
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 40));
  const std::string job = folder_.Write("digits.textproto", DigitsJob());
  const Outcome outcome = RunProgram(
      {"train", job, "--data", "digits=" + digits, "--workers", "1", "--state-dir", state_},
      folder_.path());
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(service_.calls(), ElementsAre("list", "get j1"));
}

TEST_F(TrainTest, FewerIterationsAreRefused) {
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 40));
  const Outcome outcome = Train({"--set", "iterations=20"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("100 iterations, 40 of them done"));
}

TEST_F(TrainTest, AfterAFailureTheSameJobStartsAnew) {
  service_.AddJob(Waves(v1::JOB_STATE_FAILED, 40));
  AddEnd(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(service_.submitted().size(), 1);
}

TEST_F(TrainTest, CtrlCStopsAndSaysHowToGoOn) {
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 30));
  service_.AddWatch({.hold = true});
  Outcome outcome;
  std::thread program([&] { outcome = Train({}); });
  service_.AwaitWatches(1);
  ::kill(::getpid(), SIGINT);
  program.join();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("stopped at about iteration 30"),
                                 HasSubstr("innerloop train " + job_ + " --state-dir " + state_)));
}

TEST_F(TrainTest, TheCommandToGoOnIsTheSameForAShell) {
  service_.AddJob(Waves(v1::JOB_STATE_PAUSED, 30));
  service_.AddWatch({.hold = true});
  const std::string hash(64, 'a');
  Outcome outcome;
  std::thread program([&] {
    outcome = Train({"--set", "evaluation.every=20", "--name", "it's mine", "--label", "try=3",
                     "--note", "two\nlines", "--allow-model", hash, "--slots", "2", "--no-chart"});
  });
  service_.AwaitWatches(1);
  ::kill(::getpid(), SIGINT);
  program.join();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_THAT(outcome.err,
              HasSubstr("innerloop train " + job_ + " --state-dir " + state_ +
                        R"( --set evaluation.every=20 --name 'it'\''s mine' --label try=3)"
                        R"( --note $'two\nlines' --allow-model )" +
                        hash + " --workers 1 --slots 2\n"));
}

TEST_F(TrainTest, ACoordinatorThatRefusesTheFolderIsBadInput) {
  folder_.WriteProgram("innerloop-coordinator", "echo 'the folder is in use' >&2; exit 2\n");
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("the folder is in use"));
  EXPECT_FALSE(std::filesystem::exists(state_)) << "an empty folder stays behind";
}

TEST_F(TrainTest, TheLogsOfACoordinatorThatBrokeStay) {
  folder_.WriteProgram("innerloop-coordinator", "echo 'out of memory' >&2; exit 1\n");
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr(state_ + "/logs/coordinator.log"));
  EXPECT_TRUE(std::filesystem::exists(state_ + "/logs/coordinator.log"));
}

TEST_F(TrainTest, AJobThatTheCoordinatorRefusesLeavesNoFolder) {
  service_.FailNext(grpc::Status::OK);  // the list
  service_.FailNext({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many parameters"});
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("too many parameters"));
  EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_F(TrainTest, WarningsAreToldWhenTheyCome) {
  v1::Job job = Waves(v1::JOB_STATE_PAUSED, 0);
  job.add_warnings("checkpoint-7 is damaged; the job begins again at iteration 0");
  service_.AddJob(job);
  AddEnd(Waves(v1::JOB_STATE_SUCCEEDED, 100));
  const Outcome outcome = Train({});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("\nwarning: checkpoint-7 is damaged; the job begins again at "
                                     "iteration 0\n"));
}

TEST_F(TrainTest, NothingIsMadeForABadJob) {
  const Outcome outcome = Train({"--set", "meta_batch=0"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("meta_batch"));
  EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_F(TrainTest, ACheckpointFileIsEvaluatedOnAClusterOfItsOwn) {
  ::setenv("TMPDIR", folder_.path().c_str(), 1);
  const std::string checkpoint = folder_.path() + "/c.safetensors";
  WriteSmallCheckpoint(checkpoint);
  v1::Evaluation evaluation;
  evaluation.set_iteration(7);
  evaluation.add_steps()->set_loss(0.125);
  service_.SetEvaluation(evaluation);
  const Outcome outcome =
      RunProgram({"evaluate", checkpoint, "--workers", "1", "--episodes", "50", "--format=json"},
                 folder_.path());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["steps"][0]["loss"], 0.125);
  EXPECT_EQ(service_.checkpoint(), ReadFile(checkpoint));
  EXPECT_EQ(service_.evaluated()[0].checkpoint(), "adopted");
  EXPECT_EQ(service_.evaluated()[0].protocol().episodes(), 50);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("innerloop-run-")));
  }
  ::unsetenv("TMPDIR");
}

}  // namespace
}  // namespace innerloop::client
