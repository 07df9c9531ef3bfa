// `train --seeds`: reading the flag, statistics over the group, and the jobs that come of it.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/group.h"
#include "client/commands/seeds.h"
#include "core/job/job_spec.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(ParseSeeds, TakesRangesAndSingleSeedsInTheirOrder) {
  EXPECT_THAT(*ParseSeeds("1..5"), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(*ParseSeeds("1,4,7"), ElementsAre(1, 4, 7));
  EXPECT_THAT(*ParseSeeds("9,2..3"), ElementsAre(9, 2, 3));
  EXPECT_THAT(*ParseSeeds("18446744073709551614..18446744073709551615"),
              ElementsAre(UINT64_MAX - 1, UINT64_MAX));
}

TEST(ParseSeeds, SaysWhatIsWrong) {
  const auto message = [](const std::string& flag) {
    const auto seeds = ParseSeeds(flag);
    EXPECT_EQ(seeds.status().code(), absl::StatusCode::kInvalidArgument) << flag;
    return std::string(seeds.status().message());
  };
  for (const char* flag : {"", "x", "1,", "1..", "..3", "1...3", "-1", "1.5"}) {
    EXPECT_THAT(message(flag), AllOf(HasSubstr(absl::StrCat("--seeds=", flag, " is no list")),
                                     HasSubstr("1..5 or 1,4,7")));
  }
  EXPECT_EQ(message("5..1"), "--seeds=5..1: 5..1 runs backwards; write 1..5");
  EXPECT_THAT(message("1..3,2"), HasSubstr("names the seed 2 twice"));
  EXPECT_THAT(message("1..101"), HasSubstr("more than 100 seeds"));
  EXPECT_THAT(message("0..18446744073709551615"), HasSubstr("more than 100 seeds"));
}

TEST(NameWithSeed, StaysWithinTheLengthOfNames) {
  EXPECT_EQ(NameWithSeed("waves", 3), "waves-seed-3");
  const std::string name = NameWithSeed(std::string(100, 'x'), 12);
  EXPECT_EQ(name.size(), 100);
  EXPECT_THAT(name, HasSubstr("xx-seed-12"));
  std::string umlauts;
  for (int i = 0; i < 100; ++i) {
    umlauts += "ü";
  }
  EXPECT_EQ(NameWithSeed(umlauts, 12), umlauts.substr(0, 2 * 92) + "-seed-12")
      << "characters count, not bytes";
}

TEST(Spread, IsTheMeanAndTheSampleStandardDeviation) {
  // (2 + 4 + 9) / 3 = 5; squares 9 + 1 + 16 = 26 over 2.
  const Spread spread = SpreadOf({2, 4, 9});
  EXPECT_DOUBLE_EQ(spread.mean, 5);
  EXPECT_DOUBLE_EQ(spread.deviation, std::sqrt(13.0));
  EXPECT_DOUBLE_EQ(SpreadOf({7}).mean, 7);
  EXPECT_TRUE(std::isnan(SpreadOf({7}).deviation));
}

v1::Job Ended(v1::JobState state, const std::string& id, uint64_t seed, double loss) {
  v1::Job job;
  job.set_id(id);
  job.set_state(state);
  job.set_iteration(100);
  job.set_training_seconds(2);
  *job.mutable_spec() = *ResolveJobSpec(*ParseJobSpec(SinusoidJob(), "job"), nullptr);
  job.mutable_spec()->set_seed(seed);
  job.mutable_spec()->set_name(NameWithSeed("waves", seed));
  job.mutable_last_checkpoint()->set_parameters_sha256("sha-of-" + id);
  v1::Evaluation& evaluation = *job.mutable_final();
  *evaluation.mutable_protocol() = job.spec().evaluation().final();
  for (uint32_t step = 0; step < 2; ++step) {
    evaluation.add_steps()->set_step(step);
    evaluation.mutable_steps(static_cast<int>(step))->set_loss(loss + step);
  }
  return job;
}

TEST(Group, ShowsMeanAndDeviationAfterEachStepAndEachSeedsParameters) {
  const std::vector<SeedResult> results = {
      {.seed = 1, .job = Ended(v1::JOB_STATE_SUCCEEDED, "a", 1, 2), .periodic = {}},
      {.seed = 4, .job = Ended(v1::JOB_STATE_SUCCEEDED, "b", 4, 4), .periodic = {}},
      {.seed = 7, .job = Ended(v1::JOB_STATE_SUCCEEDED, "c", 7, 9), .periodic = {}}};
  const Json group = GroupJson("waves", results);
  EXPECT_EQ(group["name"], "waves");
  EXPECT_EQ(group["seeds"], Json({1, 4, 7}));
  EXPECT_EQ(group["evaluation"]["split"], "test");
  EXPECT_EQ(group["evaluation"]["shots"], 5);
  const Json& step = group["evaluation"]["steps"][1];
  EXPECT_EQ(step["step"], 1);
  EXPECT_EQ(step["runs"], 3);
  EXPECT_DOUBLE_EQ(step["loss"], 6);
  EXPECT_DOUBLE_EQ(step["loss_deviation"], std::sqrt(13.0));
  EXPECT_FALSE(step.contains("accuracy"));
  EXPECT_EQ(group["runs"][1]["seed"], 4);
  EXPECT_EQ(group["runs"][1]["parameters_sha256"], "sha-of-b");
  EXPECT_DOUBLE_EQ(group["runs"][2]["evaluation"]["steps"][0]["loss"], 9);

  const std::string text = GroupText(results);
  EXPECT_THAT(text, AllOf(HasSubstr("over 3 of 3 seeds: test, 5-shot"),
                          HasSubstr("   0  5.0000 ± 3.6056\n   1  6.0000 ± 3.6056\n"),
                          HasSubstr("sha-of-c")));
}

TEST(Group, CountsOnlyJobsThatSucceeded) {
  const std::vector<SeedResult> results = {
      {.seed = 1, .job = Ended(v1::JOB_STATE_SUCCEEDED, "a", 1, 2), .periodic = {}},
      {.seed = 2, .job = Ended(v1::JOB_STATE_FAILED, "b", 2, 900), .periodic = {}}};
  EXPECT_THAT(GroupText(results), AllOf(HasSubstr("over 1 of 2 seeds"), HasSubstr("   0  2.0000\n"),
                                        HasSubstr("FAILED")));
  const std::vector<SeedResult> none = {
      {.seed = 2, .job = Ended(v1::JOB_STATE_FAILED, "b", 2, 900), .periodic = {}}};
  EXPECT_TRUE(GroupJson("waves", none)["evaluation"].is_null());
  EXPECT_THAT(GroupText(none), Not(HasSubstr("evaluation over")));
}

// The cluster's programs are stand-ins that lead to the fake service.
class TrainSeedsTest : public ::testing::Test {
 protected:
  TrainSeedsTest() {
    folder_.WriteProgram("innerloop-coordinator",
                         absl::StrCat("echo 'innerloop-coordinator: listening on ",
                                      service_.address(), "'\nexec sleep 1000\n"));
    folder_.WriteProgram("innerloop-worker", "exec sleep 1000\n");
  }

  Outcome Train(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", job_,          "--workers",
                                          "1",     "--state-dir", folder_.path() + "/run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgram(arguments, folder_.path());
  }

  void AddEnd(const v1::Job& job) {
    v1::JobEvents events;
    *events.mutable_job() = job;
    service_.AddWatch({.messages = {events}});
  }

  FakeTraining service_;
  TestFolder folder_;
  const std::string job_ = folder_.Write("waves.textproto", SinusoidJob());
};

TEST_F(TrainSeedsTest, SubmitsAJobForEachSeedUnderItsName) {
  AddEnd(Ended(v1::JOB_STATE_SUCCEEDED, "new1", 3, 2));
  AddEnd(Ended(v1::JOB_STATE_SUCCEEDED, "new2", 8, 4));
  const Outcome outcome = Train({"--seeds", "3,8", "--format=json", "--set", "evaluation.every=0"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::vector<std::string> names;
  for (const v1::SubmitJobRequest& request : service_.submitted()) {
    names.push_back(absl::StrCat(request.spec().name(), " ", request.spec().seed()));
  }
  EXPECT_THAT(names, ElementsAre("waves-seed-3 3", "waves-seed-8 8"));
  const json group = json::parse(outcome.out);
  EXPECT_EQ(group["name"], "waves");
  EXPECT_EQ(group["evaluation"]["steps"][0]["loss"], 3.0);
}

TEST_F(TrainSeedsTest, GoesOnWithTheSeedsThatAreThereAndPausesTheOthers) {
  service_.AddJob(Ended(v1::JOB_STATE_SUCCEEDED, "j1", 1, 2));
  service_.AddJob(Ended(v1::JOB_STATE_RUNNING, "j2", 2, 2));
  service_.AddJob(Ended(v1::JOB_STATE_PAUSED, "j3", 3, 4));
  AddEnd(Ended(v1::JOB_STATE_SUCCEEDED, "j3", 3, 4));
  AddEnd(Ended(v1::JOB_STATE_SUCCEEDED, "new1", 5, 9));
  const Outcome outcome = Train({"--seeds", "1,3,5"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(service_.submitted().size(), 1);
  EXPECT_EQ(service_.submitted()[0].spec().seed(), 5);
  EXPECT_THAT(service_.calls(), ::testing::IsSupersetOf({"pause j2", "resume j3"}));
  EXPECT_THAT(outcome.out, HasSubstr("   0  5.0000 ± 3.6056\n"));
}

TEST_F(TrainSeedsTest, AFailedSeedFailsTheCommandAfterTheOthersAreShown) {
  v1::Job failed = Ended(v1::JOB_STATE_FAILED, "j2", 2, 2);
  failed.set_failure_message("the update of iteration 12 is not finite");
  service_.AddJob(Ended(v1::JOB_STATE_SUCCEEDED, "j1", 1, 2));
  AddEnd(failed);
  const Outcome outcome = Train({"--seeds", "1..2"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("over 1 of 2 seeds"));
  EXPECT_THAT(outcome.err,
              HasSubstr("innerloop: seed 2: job j2 failed: the update of iteration 12"));
}

TEST_F(TrainSeedsTest, AnotherJobInTheFolderIsRefusedBeforeAnythingIsSubmitted) {
  service_.AddJob(Ended(v1::JOB_STATE_SUCCEEDED, "j1", 9, 2));
  const Outcome outcome = Train({"--seeds", "1..2", "--set", "meta_batch=8"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("meta_batch: 4 against 8"), Not(HasSubstr("seed:"))));
  EXPECT_THAT(service_.submitted(), IsEmpty());
}

TEST_F(TrainSeedsTest, BadSeedsAreRefusedBeforeAnythingStarts) {
  const Outcome outcome = Train({"--seeds", "5..1"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--seeds=5..1"));
  EXPECT_THAT(service_.calls(), IsEmpty());
}

}  // namespace
}  // namespace innerloop::client
