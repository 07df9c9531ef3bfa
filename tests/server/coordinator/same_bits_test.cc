// The parameters do not depend on who computed what, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kIterations = 60;

// A job with everything on: evaluations, checkpoints, momentum-keeping optimiser.
v1::JobSpec FullJob() {
  v1::JobSpec spec = SmallJob(kIterations);
  spec.mutable_evaluation()->set_every(7);
  spec.mutable_evaluation()->mutable_periodic()->set_episodes(60);
  spec.mutable_evaluation()->set_skip_final(false);
  spec.mutable_evaluation()->mutable_final()->set_episodes(30);
  spec.mutable_checkpoint()->set_every(10);
  spec.mutable_outer_optimizer()->mutable_adam();
  spec.mutable_outer_optimizer()->mutable_schedule()->mutable_cosine();
  return spec;
}

struct Outcome {
  std::string parameters;
  std::vector<double> losses;
  std::vector<double> evaluations;
  std::string best;
  bool operator==(const Outcome& other) const {
    return parameters == other.parameters && losses == other.losses &&
           evaluations == other.evaluations && best == other.best;
  }
};

Outcome OutcomeOf(Cluster& cluster, const std::string& id) {
  Outcome outcome;
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_SUCCEEDED) << cluster.Get(id).failure_message();
  outcome.parameters = cluster.ParametersOf(id);
  outcome.best = cluster.ParametersOf(id + "@best");
  EXPECT_TRUE(cluster.recorder->Flush().ok());
  uint64_t next = 0;
  const std::vector<v1::IterationRecord> history = *cluster.state->History(id, 0, 1'000'000);
  for (const v1::IterationRecord& record : history) {
    EXPECT_EQ(record.iteration(), next++);
    outcome.losses.push_back(record.meta_loss());
  }
  const std::vector<v1::Evaluation> evaluations = *cluster.state->Evaluations(id, 0);
  for (const v1::Evaluation& evaluation : evaluations) {
    outcome.evaluations.push_back(evaluation.steps(evaluation.steps_size() - 1).loss());
  }
  EXPECT_EQ(outcome.losses.size(), kIterations);
  EXPECT_EQ(outcome.evaluations.size(), kIterations / 7 + 1);
  return outcome;
}

Outcome Reference() {
  Cluster cluster;
  cluster.AddWorker();
  const std::string id = cluster.Submit(FullJob()).id();
  cluster.RunToEnd(id);
  return OutcomeOf(cluster, id);
}

TEST(SameBitsTest, AnyNumberOfWorkersAndSlotsAndAnyOrderOfArrival) {
  const Outcome reference = Reference();
  unsigned seed = 1;
  for (const std::vector<uint32_t>& slots :
       {std::vector<uint32_t>{1}, {1, 1}, {4}, {1, 2, 3}, {2, 2, 2, 2}}) {
    Cluster cluster;
    cluster.random.seed(++seed);
    for (uint32_t count : slots) {
      cluster.AddWorker(count);
    }
    const std::string id = cluster.Submit(FullJob()).id();
    cluster.RunToEnd(id);
    EXPECT_TRUE(OutcomeOf(cluster, id) == reference) << slots.size() << " workers";
  }
}

TEST(SameBitsTest, AnnouncedResultsAreTheSameResults) {
  const Outcome reference = Reference();
  Cluster cluster;
  cluster.AddWorker(2).announces = true;
  cluster.AddWorker(2);
  const std::string id = cluster.Submit(FullJob()).id();
  cluster.RunToEnd(id);
  EXPECT_TRUE(OutcomeOf(cluster, id) == reference);
}

TEST(SameBitsTest, WorkersThatDieJoinAndAreSlow) {
  const Outcome reference = Reference();
  for (unsigned seed = 1; seed <= 5; ++seed) {
    Cluster cluster;
    cluster.random.seed(seed);
    cluster.AddWorker(2);
    cluster.AddWorker(1);
    const std::string id = cluster.Submit(FullJob()).id();
    uint64_t killed_at = 0;
    cluster.RunUntil(id, [&](const v1::Job& job) {
      if (Ended(job)) {
        return true;
      }
      // A death now and then, not thrice for one shard; time passes, so that copies are given out.
      if (job.iteration() > killed_at && cluster.random() % 8 == 0) {
        killed_at = job.iteration();
        cluster.Kill(*cluster.workers()[cluster.random() % cluster.workers().size()]);
        cluster.AddWorker(1 + cluster.random() % 2);
      }
      cluster.clock.Advance(absl::Milliseconds(cluster.random() % 300));
      cluster.coordinator().Tick();
      return false;
    });
    EXPECT_TRUE(OutcomeOf(cluster, id) == reference) << "seed " << seed;
    EXPECT_GT(cluster.Get(id).shards_reissued(), 0);
  }
}

TEST(SameBitsTest, CoordinatorsThatAreKilledAndStartedAgain) {
  const Outcome reference = Reference();
  for (unsigned seed = 1; seed <= 5; ++seed) {
    Cluster cluster;
    cluster.random.seed(seed);
    cluster.AddWorker(2);
    const std::string id = cluster.Submit(FullJob()).id();
    uint64_t from = 0;
    for (uint64_t stop : {5 + seed, 20 + 2 * seed, 40 + 3 * seed}) {
      // The first one may die before there is a checkpoint, the others after a new one.
      cluster.RunUntil(id, [&](const v1::Job& job) {
        const bool stored = stop <= 10 || job.last_checkpoint().iteration() > from;
        return Ended(job) || (job.iteration() >= stop && stored);
      });
      const v1::Job killed = cluster.Get(id);
      cluster.Restart();
      from = cluster.Get(id).iteration();
      EXPECT_GE(from, killed.last_checkpoint().iteration());
      // A step that was under way may have ended meanwhile.
      EXPECT_LE(from, killed.iteration() + 1);
      cluster.AddWorker(1);
      cluster.AddWorker(1);
    }
    cluster.RunToEnd(id);
    EXPECT_TRUE(OutcomeOf(cluster, id) == reference) << "seed " << seed;
  }
}

TEST(SameBitsTest, PausesAndGracefulStops) {
  const Outcome reference = Reference();
  Cluster cluster;
  cluster.AddWorker(2);
  const std::string id = cluster.Submit(FullJob()).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() >= 13; });
  ASSERT_TRUE(cluster.coordinator().Pause(id).ok());
  cluster.RunUntil(id, [](const v1::Job& job) {
    return job.last_checkpoint().iteration() == job.iteration() && job.iteration() >= 13;
  });
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_PAUSED);
  const uint64_t paused_at = cluster.Get(id).iteration();
  cluster.Restart();
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_PAUSED);
  EXPECT_EQ(cluster.Get(id).iteration(), paused_at);
  cluster.AddWorker(1);
  ASSERT_TRUE(cluster.coordinator().Resume(id).ok());
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() >= 29; });
  FakeWorker& worker = *cluster.workers().front();
  cluster.coordinator().Stop(absl::Milliseconds(50));
  EXPECT_TRUE(worker.saw_goodbye());
  cluster.Restart();
  // Version 28 was still under evaluation, or the iteration under way was given up.
  EXPECT_GE(cluster.Get(id).iteration(), 28);
  cluster.AddWorker(3);
  cluster.RunToEnd(id);
  EXPECT_TRUE(OutcomeOf(cluster, id) == reference);
}

TEST(SameBitsTest, ADamagedCheckpointIsNamedAndPassedOver) {
  const Outcome reference = Reference();
  Cluster cluster;
  cluster.AddWorker(2);
  const std::string id = cluster.Submit(FullJob()).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() >= 20; });
  ASSERT_TRUE(cluster.coordinator().Pause(id).ok());
  cluster.RunUntil(id, [](const v1::Job& job) {
    return job.last_checkpoint().iteration() == job.iteration() && job.iteration() >= 20;
  });
  const uint64_t newest = cluster.Get(id).iteration();
  Damage(*cluster.checkpoints->PathOf(id));
  cluster.Restart();
  EXPECT_LT(cluster.Get(id).iteration(), newest);
  ASSERT_EQ(cluster.Get(id).warnings_size(), 1);
  EXPECT_THAT(cluster.Get(id).warnings(0), HasSubstr(CheckpointFileName(newest)));
  ASSERT_TRUE(cluster.coordinator().Resume(id).ok());
  cluster.AddWorker(2);
  cluster.RunToEnd(id);
  EXPECT_TRUE(OutcomeOf(cluster, id) == reference);
}

TEST(SameBitsTest, WithoutAGoodCheckpointAJobSaysThatItBeginsAgain) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(1000)).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() == 3; });
  ASSERT_TRUE(cluster.coordinator().Pause(id).ok());
  cluster.RunUntil(id, [](const v1::Job& job) { return job.has_last_checkpoint(); });
  Damage(*cluster.checkpoints->PathOf(id));
  cluster.Restart();
  EXPECT_EQ(cluster.Get(id).iteration(), 0);
  ASSERT_EQ(cluster.Get(id).warnings_size(), 1);
  EXPECT_THAT(cluster.Get(id).warnings(0),
              HasSubstr("; no good one is left: the job begins again at iteration 0"));
}

}  // namespace
}  // namespace innerloop::server
