// What users ask for.
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<v1::Evaluation> Evaluate(Cluster& cluster, const std::string& reference,
                                        uint32_t episodes) {
  v1::EvaluateRequest request;
  request.set_checkpoint(reference);
  request.mutable_protocol()->set_episodes(episodes);
  absl::StatusOr<v1::Evaluation> result = absl::UnknownError("never answered");
  bool answered = false;
  cluster.coordinator().Evaluate(request, [&](absl::StatusOr<v1::Evaluation> evaluation) {
    result = std::move(evaluation);
    answered = true;
  });
  while (!answered && cluster.Step()) {
  }
  return result;
}

TEST(UsersTest, TheSameRequestIsTheSameJobAlsoAfterARestart) {
  Cluster cluster;
  const std::string id = cluster.Submit(SmallJob(5), "request-1").id();
  EXPECT_EQ(cluster.Submit(SmallJob(5), "request-1").id(), id);
  EXPECT_NE(cluster.Submit(SmallJob(5), "request-2").id(), id);
  EXPECT_NE(cluster.Submit(SmallJob(5)).id(), cluster.Submit(SmallJob(5)).id());
  cluster.Restart();
  EXPECT_EQ(cluster.Submit(SmallJob(5), "request-1").id(), id);
  EXPECT_EQ(cluster.Jobs().size(), 4);
}

TEST(UsersTest, JobsAreListedInTheOrderOfTheirSubmission) {
  Cluster cluster;
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(cluster.Submit(SmallJob(5)).id());
    cluster.clock.Advance(absl::Milliseconds(1));
  }
  ASSERT_TRUE(cluster.coordinator().Cancel(ids[3]).ok());
  const auto listed = [&](const JobPlace& after, size_t most) {
    std::vector<std::string> result;
    cluster.coordinator().List(after, [&](const v1::Job& job) {
      result.push_back(job.id());
      return result.size() < most;
    });
    return result;
  };
  EXPECT_EQ(listed({}, 100), ids);
  EXPECT_THAT(listed(PlaceOf(cluster.Get(ids[1])), 3), ElementsAre(ids[2], ids[3], ids[4]));
  EXPECT_THAT(listed(PlaceOf(cluster.Get(ids[5])), 3), IsEmpty());
  cluster.Restart();
  EXPECT_EQ(listed({}, 100), ids);
}

TEST(UsersTest, ASpecificationThatCannotBeIsRefused) {
  Cluster cluster;
  v1::SubmitJobRequest request;
  *request.mutable_spec() = SmallJob(5);
  request.mutable_spec()->set_meta_batch(0);
  EXPECT_THAT(std::string(cluster.coordinator().Submit(request).status().message()),
              HasSubstr("meta_batch"));
  *request.mutable_spec() = SmallJob(5);
  request.mutable_spec()->set_init_from("nosuchjob");
  EXPECT_EQ(cluster.coordinator().Submit(request).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(cluster.Jobs().size(), 0);
}

TEST(UsersTest, ThereAreNoMoreJobsThanTheOperatorAllows) {
  Options options;
  options.max_jobs = 1;
  Cluster cluster(options);
  const std::string id = cluster.Submit(SmallJob(5)).id();
  v1::SubmitJobRequest request;
  *request.mutable_spec() = SmallJob(5);
  EXPECT_EQ(cluster.coordinator().Submit(request).status().code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(cluster.coordinator().Cancel(id).ok());
  EXPECT_TRUE(cluster.coordinator().Submit(request).ok());
}

TEST(UsersTest, ACancelledJobKeepsItsCheckpointAndNeverRunsAgain) {
  v1::JobSpec spec = SmallJob(100'000'000);
  spec.mutable_checkpoint()->set_every(5);
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  const std::string id = cluster.Submit(spec).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.has_last_checkpoint(); });
  ASSERT_TRUE(worker.HasItems());
  const absl::StatusOr<v1::Job> job = cluster.coordinator().Cancel(id);
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(job->has_ended());
  EXPECT_FALSE(worker.HasItems());
  EXPECT_EQ(worker.released_jobs().count(id), 1);
  EXPECT_TRUE(cluster.coordinator().Cancel(id).ok()) << "cancelling again changes nothing";
  EXPECT_EQ(cluster.coordinator().Pause(id).status().code(), absl::StatusCode::kFailedPrecondition);
  cluster.Restart();
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_FALSE(cluster.AddWorker(1).HasItems());
  EXPECT_NE(cluster.ParametersOf(id), "");
}

TEST(UsersTest, APausedJobGivesItsWorkersBack) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(100'000'000)).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 3; });
  ASSERT_TRUE(cluster.coordinator().Pause(id).ok());
  while (worker.HasItems()) {
    worker.CompleteOldest();
  }
  const uint64_t paused_at = cluster.Get(id).iteration();
  EXPECT_LE(paused_at, 4);
  cluster.RunUntil(
      id, [&](const v1::Job& job) { return job.last_checkpoint().iteration() == paused_at; });
  EXPECT_FALSE(worker.HasItems());
  EXPECT_EQ(cluster.coordinator().Delete(id).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(cluster.coordinator().Resume(id).ok());
  EXPECT_TRUE(worker.HasItems());
}

TEST(UsersTest, AJobPausedBeforeItBeganIsInitialisedWhenItResumes) {
  Cluster cluster;
  const std::string id = cluster.Submit(SmallJob(3)).id();
  ASSERT_TRUE(cluster.coordinator().Pause(id).ok());
  FakeWorker& worker = cluster.AddWorker(1);
  EXPECT_FALSE(worker.HasItems());
  ASSERT_TRUE(cluster.coordinator().Resume(id).ok());
  EXPECT_EQ(cluster.RunToEnd(id).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST(UsersTest, AnExtendedJobIsTheSameAsOneThatWasAsLongFromTheBeginning) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string whole = cluster.Submit(SmallJob(30)).id();
  cluster.RunToEnd(whole);
  const std::string parts = cluster.Submit(SmallJob(12)).id();
  EXPECT_EQ(cluster.RunToEnd(parts).iteration(), 12);
  EXPECT_EQ(cluster.coordinator().Extend(parts, 11).status().code(),
            absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(cluster.coordinator().Extend(parts, 30).ok());
  EXPECT_EQ(cluster.RunToEnd(parts).iteration(), 30);
  EXPECT_EQ(cluster.ParametersOf(parts), cluster.ParametersOf(whole));
}

TEST(UsersTest, AJobBeginsWithAnothersParameters) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  const std::string from = cluster.Submit(SmallJob(10)).id();
  cluster.RunToEnd(from);
  v1::JobSpec spec = SmallJob(3);
  spec.set_init_from(from);
  const std::string id = cluster.Submit(spec).id();
  EXPECT_EQ(cluster.Get(id).spec().init_from(), from + "@10");
  cluster.RunUntil(id, [](const v1::Job& job) { return job.has_last_checkpoint(); });
  EXPECT_EQ(cluster.RunToEnd(id).state(), v1::JOB_STATE_SUCCEEDED);
  worker.width = 38;
  const std::string other = cluster.Submit(spec).id();
  const v1::Job failed = cluster.RunToEnd(other);
  EXPECT_EQ(failed.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(failed.failure_message(), HasSubstr("'weight'"));
}

TEST(UsersTest, ADeletedJobIsGoneForGood) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  ASSERT_TRUE(cluster.coordinator().Delete(id).ok());
  EXPECT_EQ(cluster.coordinator().Get(id).status().code(), absl::StatusCode::kNotFound);
  cluster.Restart();
  EXPECT_EQ(cluster.Jobs().size(), 0);
  EXPECT_FALSE(cluster.checkpoints->Read(id, nullptr).ok());
}

TEST(UsersTest, JobsShareTheWorkersByWeight) {
  v1::JobSpec heavy = SmallJob(100'000'000);
  heavy.set_weight(3);
  heavy.set_name("heavy");
  v1::JobSpec light = SmallJob(100'000'000);
  light.set_weight(1);
  Cluster cluster;
  // With more slots, one that waits for its last shard leaves the others to whoever has work.
  cluster.AddWorker(1);
  const std::string a = cluster.Submit(heavy).id();
  const std::string b = cluster.Submit(light).id();
  for (int i = 0; i < 4000; ++i) {
    ASSERT_TRUE(cluster.Step());
  }
  const double of_heavy = static_cast<double>(cluster.Get(a).iteration());
  const double of_light = static_cast<double>(cluster.Get(b).iteration());
  EXPECT_GT(of_light, 100);
  EXPECT_NEAR(of_heavy / of_light, 3, 0.3);
}

TEST(UsersTest, EachVersionTravelsOnceAndIsReleased) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(2);
  const std::string id = cluster.Submit(SmallJob(10)).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 5; });
  EXPECT_TRUE(worker.holds(id, 5));
  EXPECT_FALSE(worker.holds(id, 4));
  cluster.RunToEnd(id);
  EXPECT_EQ(worker.descriptions(), 1);
  EXPECT_EQ(worker.released_jobs().count(id), 1);
}

TEST(UsersTest, StoredCheckpointsAreEvaluatedWhateverTheirJobDoes) {
  v1::JobSpec spec = SmallJob(40);
  spec.mutable_checkpoint()->set_every(10);
  spec.mutable_evaluation()->mutable_final()->set_inner_steps(3);
  Cluster cluster;
  cluster.AddWorker(2);
  const std::string id = cluster.Submit(spec).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.has_last_checkpoint(); });
  const absl::StatusOr<v1::Evaluation> running = Evaluate(cluster, id, 110);
  ASSERT_TRUE(running.ok()) << running.status();
  EXPECT_EQ(running->steps_size(), 4);
  EXPECT_EQ(running->protocol().episodes(), 110);
  cluster.RunToEnd(id);
  const absl::StatusOr<v1::Evaluation> ended = Evaluate(cluster, id, 60);
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->iteration(), 40);
  // The same with other workers, of another kind.
  Cluster& same = cluster;
  while (!same.workers().empty()) {
    same.Kill(*same.workers().front());
  }
  same.AddWorker(1, "gpu");
  same.AddWorker(3, "cpu");
  const absl::StatusOr<v1::Evaluation> again = Evaluate(cluster, id, 60);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->steps(3).loss(), ended->steps(3).loss());
  EXPECT_EQ(again->steps(3).loss_ci95(), ended->steps(3).loss_ci95());
  EXPECT_EQ(Evaluate(cluster, "nosuchjob", 60).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Evaluate(cluster, id + "@17", 60).status().code(), absl::StatusCode::kNotFound);
}

// What evaluates it has to come.
std::string EndedJobWithoutWorkers(Cluster& cluster) {
  cluster.AddWorker(1);
  std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  cluster.Kill(*cluster.workers().front());
  return id;
}

TEST(UsersTest, AnEvaluationWithoutWorkersEndsAfterAMinute) {
  Cluster cluster;
  const std::string id = EndedJobWithoutWorkers(cluster);
  v1::EvaluateRequest request;
  request.set_checkpoint(id);
  absl::StatusOr<v1::Evaluation> result = absl::UnknownError("never answered");
  cluster.coordinator().Evaluate(
      request, [&](absl::StatusOr<v1::Evaluation> evaluation) { result = std::move(evaluation); });
  EXPECT_EQ(cluster.coordinator().Delete(id).code(), absl::StatusCode::kFailedPrecondition);
  cluster.coordinator().Tick();
  cluster.clock.Advance(absl::Seconds(61));
  cluster.coordinator().Tick();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("no workers are connected"));
  EXPECT_TRUE(cluster.coordinator().Delete(id).ok());
}

TEST(UsersTest, EvaluationsThatNobodyWaitsForMakeRoomForOthers) {
  Cluster cluster;
  const std::string id = EndedJobWithoutWorkers(cluster);
  v1::EvaluateRequest request;
  request.set_checkpoint(id);
  std::vector<absl::Status> ended;
  const auto evaluate = [&] {
    return cluster.coordinator().Evaluate(
        request, [&](const auto& evaluation) { ended.push_back(evaluation.status()); });
  };
  const Coordinator::GiveUp give_up = evaluate();
  for (int i = 1; i < 64; ++i) {
    evaluate();
  }
  EXPECT_THAT(ended, IsEmpty());
  evaluate();
  EXPECT_THAT(ended, ElementsAre(absl::ResourceExhaustedError(
                         "64 evaluations are under way; the coordinator takes at most 64 at a "
                         "time: ask again when some have ended")));
  ended.clear();
  give_up();
  EXPECT_THAT(ended, ElementsAre(absl::CancelledError("the caller went away")));
  give_up();
  evaluate();
  EXPECT_EQ(ended.size(), 1) << "there was room for one more";
  cluster.coordinator().Stop(absl::ZeroDuration());
  EXPECT_EQ(ended.size(), 1 + 64);
}

TEST(UsersTest, AnUploadedCheckpointIsAnEndedJob) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  Checkpoint copy = *cluster.checkpoints->Read(id, nullptr);
  copy.metadata.set_job_id("uploaded1");
  ASSERT_TRUE(cluster.checkpoints->Write(copy, /*best=*/false, /*keep=*/2).ok());
  const absl::StatusOr<v1::Job> job =
      cluster.coordinator().Adopt(*cluster.checkpoints->Read("uploaded1", nullptr));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job->iteration(), 3);
  EXPECT_TRUE(Evaluate(cluster, "uploaded1", 50).ok());
  cluster.Restart();
  EXPECT_EQ(cluster.Get("uploaded1").parameters(), 37);
}

TEST(UsersTest, AWatchWakesWhenTheJobEndsAndOtherwiseOnATick) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(100'000'000)).id();
  const uint64_t seen = cluster.coordinator().AwaitEvents(id, 0, absl::ZeroDuration());
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 10; });
  cluster.coordinator().Tick();
  const uint64_t ticked = cluster.coordinator().AwaitEvents(id, seen, absl::InfiniteDuration());
  EXPECT_GT(ticked, seen);
  std::thread watch([&] {
    uint64_t number = ticked;
    while (!Ended(cluster.Get(id))) {
      number = cluster.coordinator().AwaitEvents(id, number, absl::InfiniteDuration());
    }
  });
  ASSERT_TRUE(cluster.coordinator().Cancel(id).ok());
  watch.join();
  EXPECT_EQ(cluster.coordinator().AwaitEvents("nosuchjob", 0, absl::InfiniteDuration()), 0);
}

TEST(UsersTest, AfterAStopNothingIsTaken) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(100'000'000)).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 5; });
  std::thread stop([&] { cluster.coordinator().Stop(absl::Seconds(30)); });
  // The iteration under way is finished first.
  while (!worker.saw_goodbye()) {
    cluster.Step();
  }
  stop.join();
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(cluster.Get(id).last_checkpoint().iteration(), cluster.Get(id).iteration());
  v1::SubmitJobRequest request;
  *request.mutable_spec() = SmallJob(1);
  EXPECT_EQ(cluster.coordinator().Submit(request).status().code(), absl::StatusCode::kUnavailable);
  v1::Hello hello;
  hello.set_protocol_version(1);
  hello.set_slots(1);
  EXPECT_EQ(cluster.coordinator().Connect(hello, nullptr).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace innerloop::server
