// Commands about jobs, workers and evaluations.
#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class CommandsTest : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--coordinator", service_.address()});
    return RunProgram(arguments);
  }

  v1::Job Waves(v1::JobState state) {
    v1::Job job;
    job.set_id("j1");
    job.set_state(state);
    job.set_iteration(250);
    job.mutable_spec()->set_name("waves");
    job.mutable_spec()->set_iterations(1000);
    job.set_meta_loss(0.75);
    return job;
  }

  FakeTraining service_;
  TestFolder folder_;
};

TEST_F(CommandsTest, ListShowsJobsAsTableAndJson) {
  service_.AddJob(Waves(v1::JOB_STATE_RUNNING));
  const Outcome table = Run({"list"});
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, HasSubstr("j1   waves  RUNNING  250 of 1,000  0.00/s     0.7500\n"));
  const json jobs = json::parse(Run({"list", "--format=json"}).out);
  EXPECT_EQ(jobs[0]["job"], "j1");
  EXPECT_EQ(jobs[0]["state"], "RUNNING");
  EXPECT_EQ(jobs[0]["meta_loss"], 0.75);
  EXPECT_EQ(jobs[0]["spec"]["name"], "waves");
}

TEST_F(CommandsTest, ShowTellsWhyAJobFailed) {
  v1::Job job = Waves(v1::JOB_STATE_FAILED);
  job.set_failure_message("update of iteration 12 is not finite");
  service_.AddJob(job);
  const Outcome outcome = Run({"show", "j1"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("update of iteration 12 is not finite\n"));
  EXPECT_THAT(outcome.out, HasSubstr("name: \"waves\""));
}

TEST_F(CommandsTest, AnUnknownJobIsCodeTwo) {
  const Outcome outcome = Run({"show", "nope"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, "innerloop: there is no job 'nope'\n");
}

TEST_F(CommandsTest, NamesThatAreTooLongForFilesAreOneLineAndCodeTwo) {
  const std::string name(300, 'x');
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"evaluate", name},
                                             {"report", name},
                                             {"dataset", "show", name},
                                             {"dataset", "add", name}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments[0];
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, HasSubstr(name));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(CommandsTest, AStateThatForbidsItIsCodeOne) {
  service_.FailNext({grpc::StatusCode::FAILED_PRECONDITION, "job j1 has\nended"});
  const Outcome outcome = Run({"pause", "j1"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "innerloop: job j1 has ended\n");
}

TEST_F(CommandsTest, WhatACoordinatorSaysDoesNotSteerTheTerminal) {
  service_.FailNext({grpc::StatusCode::FAILED_PRECONDITION, "\x1b[2Jjob \x07j1\r\nhas ended\n"});
  EXPECT_EQ(Run({"pause", "j1"}).err, "innerloop: ?[2Jjob ?j1? has ended\n");
}

TEST_F(CommandsTest, ChangesToAJobAreCalledAndShown) {
  service_.AddJob(Waves(v1::JOB_STATE_RUNNING));
  EXPECT_EQ(Run({"pause", "j1"}).out, "job j1 PAUSED at iteration 250\n");
  EXPECT_EQ(Run({"resume", "j1"}).out, "job j1 RUNNING at iteration 250\n");
  EXPECT_EQ(json::parse(Run({"cancel", "j1", "--format=json"}).out)["state"], "CANCELLED");
  EXPECT_EQ(Run({"delete", "j1"}).out, "job j1 deleted\n");
  EXPECT_THAT(service_.calls(), ElementsAre("pause j1", "resume j1", "cancel j1", "delete j1"));
}

TEST_F(CommandsTest, CancellingAnEndedJobSaysThatItHadEnded) {
  service_.AddJob(Waves(v1::JOB_STATE_SUCCEEDED));
  const Outcome ended = Run({"cancel", "j1"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "job j1 had ended already (SUCCEEDED)\n");
  service_.AddJob(Waves(v1::JOB_STATE_RUNNING));
  EXPECT_EQ(Run({"cancel", "j1"}).out, "job j1 CANCELLED at iteration 250\n");
}

TEST_F(CommandsTest, ShowSaysThatTheMetaLossIsOfOneIteration) {
  service_.AddJob(Waves(v1::JOB_STATE_RUNNING));
  EXPECT_THAT(Run({"show", "j1"}).out, HasSubstr("0.7500 in the last iteration\n"));
}

TEST_F(CommandsTest, SubmitSendsTheResolvedJobWithItsOverrides) {
  const std::string path = folder_.Write("job.textproto", SinusoidJob());
  const Outcome outcome = Run({"submit", "--set", "iterations=7", "--set", "seed=3", path});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("job new1 QUEUED"));
  const v1::JobSpec spec = service_.submitted()[0].spec();
  EXPECT_EQ(spec.iterations(), 7);
  EXPECT_EQ(spec.seed(), 3);
  EXPECT_TRUE(spec.has_outer_optimizer());
}

TEST_F(CommandsTest, SubmitRefusesABadJobBeforeItIsSent) {
  const std::string path = folder_.Write("job.textproto", SinusoidJob());
  const Outcome field = Run({"submit", path, "--set", "iteration=7"});
  EXPECT_EQ(field.code, 2);
  EXPECT_THAT(field.err, HasSubstr("iteration"));
  const Outcome value = Run({"submit", path, "--set", "meta_batch=0"});
  EXPECT_EQ(value.code, 2);
  EXPECT_THAT(value.err, HasSubstr("meta_batch"));
  EXPECT_THAT(service_.submitted(), IsEmpty());
}

TEST_F(CommandsTest, WatchShowsTheResultAndTheOutcome) {
  v1::JobEvents events;
  *events.mutable_job() = Waves(v1::JOB_STATE_FAILED);
  events.mutable_job()->set_failure_message("it diverged");
  events.add_iterations()->set_meta_loss(0.5);
  service_.AddWatch({.messages = {events}});
  const Outcome outcome = Run({"watch", "j1"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("j1 FAILED"));
  EXPECT_THAT(outcome.err, EndsWith("\ninnerloop: job j1 failed: it diverged\n"));
}

TEST_F(CommandsTest, WatchSaysOnceThatTheCoordinatorIsAway) {
  const grpc::Status away(grpc::StatusCode::UNAVAILABLE, "gone");
  service_.AddWatch({.end = away});
  service_.AddWatch({.end = away});
  v1::JobEvents events;
  *events.mutable_job() = Waves(v1::JOB_STATE_SUCCEEDED);
  service_.AddWatch({.messages = {events}});
  const Outcome outcome = Run({"watch", "j1"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const size_t said = outcome.err.find("waiting for the coordinator: ");
  EXPECT_NE(said, std::string::npos);
  EXPECT_EQ(outcome.err.find("waiting for", said + 1), std::string::npos) << outcome.err;
}

TEST_F(CommandsTest, WatchAsJsonIsALineForEachEvent) {
  v1::JobEvents events;
  events.add_iterations()->set_iteration(4);
  events.mutable_iterations(0)->set_meta_loss(0.5);
  events.add_evaluations()->set_iteration(5);
  *events.mutable_job() = Waves(v1::JOB_STATE_SUCCEEDED);
  service_.AddWatch({.messages = {events}});
  const Outcome outcome = Run({"watch", "j1", "--from", "4", "--format", "json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  std::vector<json> objects;
  for (std::string line; std::getline(lines, line);) {
    objects.push_back(json::parse(line));
  }
  ASSERT_EQ(objects.size(), 3);
  EXPECT_EQ(objects[0]["iteration"]["iteration"], 4);
  EXPECT_EQ(objects[0]["iteration"]["meta_loss"], 0.5);
  EXPECT_EQ(objects[1]["evaluation"]["iteration"], 5);
  EXPECT_EQ(objects[2]["job"]["state"], "SUCCEEDED");
  EXPECT_THAT(service_.watched_from(), ElementsAre(4));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(CommandsTest, WorkersAreListed) {
  v1::WorkerInfo worker;
  worker.set_id("w1");
  worker.set_name("host:12");
  worker.set_state(v1::WorkerInfo::STATE_DRAINING);
  worker.set_slots(4);
  worker.set_busy_slots(1);
  service_.AddWorker(worker);
  EXPECT_THAT(Run({"workers"}).out, HasSubstr("w1      host:12  DRAINING  1 of 4"));
  EXPECT_EQ(json::parse(Run({"workers", "--format=json"}).out)[0]["busy_slots"], 1);
}

// Sinusoid tasks have no ways, episodes of five classes have five.
v1::Job Measurable(const std::string& algorithm) {
  v1::Job job;
  job.set_id("j1");
  v1::JobSpec spec = *ParseJobSpec(SinusoidJob(), "job");
  v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
  tasks.set_dataset("digits");
  tasks.set_ways(5);
  tasks.set_shots(1);
  tasks.mutable_split()->mutable_counts()->set_train(5);
  if (algorithm == "metric") {
    spec.mutable_algorithm()->mutable_prototypical_networks();
  }
  *job.mutable_spec() = *ResolveJobSpec(spec, nullptr);
  return job;
}

TEST_F(CommandsTest, EvaluateSendsOnlyWhatWasGiven) {
  v1::Evaluation evaluation;
  evaluation.mutable_protocol()->set_ways(20);
  evaluation.add_steps()->set_loss(0.5);
  service_.SetEvaluation(evaluation);
  service_.AddWorker({});
  service_.AddJob(Measurable("metric"));
  const Outcome outcome = Run({"evaluate", "j1@best", "--ways", "20", "--steps", "0", "--split",
                               "validation", "--transductive=no", "--format=json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["steps"][0]["loss"], 0.5);
  const v1::EvaluateRequest request = service_.evaluated()[0];
  EXPECT_EQ(request.checkpoint(), "j1@best");
  EXPECT_EQ(request.protocol().ways(), 20);
  EXPECT_TRUE(request.protocol().has_inner_steps());
  EXPECT_EQ(request.protocol().inner_steps(), 0);
  EXPECT_EQ(request.protocol().split(), v1::SPLIT_VALIDATION);
  EXPECT_EQ(request.protocol().transduction(), v1::TRANSDUCTION_SUPPORT_STATISTICS);
  EXPECT_EQ(request.protocol().episodes(), 0);
}

TEST_F(CommandsTest, NumbersOfFlagsAreDecimal) {
  v1::Evaluation evaluation;
  evaluation.add_steps()->set_loss(0.5);
  service_.SetEvaluation(evaluation);
  service_.AddJob(Measurable("metric"));
  const Outcome outcome =
      Run({"evaluate", "j1", "--episodes", "0600", "--shots", "010", "--seed", "010"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const v1::EvaluationProtocol sent = service_.evaluated().at(0).protocol();
  EXPECT_EQ(sent.episodes(), 600);
  EXPECT_EQ(sent.shots(), 10);
  EXPECT_EQ(sent.seed(), 10);
  ASSERT_EQ(Run({"evaluate", "j1", "--seed", "18446744073709551615"}).code, 0);
  EXPECT_EQ(service_.evaluated().at(1).protocol().seed(), UINT64_MAX);
}

TEST_F(CommandsTest, EvaluateMeasuresEachCombinationOfItsLists) {
  v1::Evaluation evaluation;
  evaluation.add_steps()->set_loss(0.5);
  service_.SetEvaluation(evaluation);
  v1::Job job = Measurable("metric");
  job.mutable_spec()->mutable_model()->mutable_conv4()->set_norm(v1::Conv4Model::NORM_BATCH);
  service_.AddJob(job);
  const Outcome outcome = Run({"evaluate", "--shots", "1,5", "--ways", "5", "--ways", "20",
                               "--transductive=both", "j1", "--format=json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out).size(), 8);
  const std::vector<v1::EvaluateRequest> requests = service_.evaluated();
  ASSERT_EQ(requests.size(), 7 + 8);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(requests[i].protocol().episodes(), 1) << "a trial of each but the first";
  }
  std::vector<std::string> measured;
  for (size_t i = 7; i < requests.size(); ++i) {
    const v1::EvaluateRequest& request = requests[i];
    measured.push_back(absl::StrCat(request.protocol().ways(), "-", request.protocol().shots(), "-",
                                    request.protocol().transduction()));
  }
  EXPECT_THAT(measured, ElementsAre("5-1-1", "5-1-2", "5-5-1", "5-5-2", "20-1-1", "20-1-2",
                                    "20-5-1", "20-5-2"));
}

TEST_F(CommandsTest, EvaluateRefusesAProtocolBeforeTheFirstIsMeasured) {
  service_.AddJob(Measurable("maml"));
  const Outcome outcome = Run({"evaluate", "j1", "--ways", "5,20"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, "innerloop: --ways is 20; the model has 5 outputs\n");
  EXPECT_THAT(service_.evaluated(), IsEmpty());
}

TEST_F(CommandsTest, EvaluateMeasuresOnceWhatIsGivenTwice) {
  v1::Evaluation evaluation;
  evaluation.add_steps()->set_loss(0.5);
  service_.SetEvaluation(evaluation);
  v1::Job job = Measurable("maml");
  job.mutable_spec()->mutable_model()->mutable_linear();
  service_.AddJob(job);
  const Outcome outcome = Run({"evaluate", "j1", "--ways", "5,5", "--transductive=both"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              StartsWith("transduction makes no difference: the model has no batch norm\n"));
  EXPECT_EQ(service_.evaluated().size(), 1);
}

TEST_F(CommandsTest, EvaluateSaysThatItWaitsForAWorker) {
  service_.AddJob(Measurable("maml"));
  EXPECT_THAT(Run({"evaluate", "j1"}).err, StartsWith("no workers are connected"));
}

}  // namespace
}  // namespace innerloop::client
