// What becomes of work, and of jobs, when things go wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Runs a job up to the point where all workers have shards of its first iteration.
std::string BeginJob(Cluster& cluster, v1::JobSpec spec) {
  const std::string id = cluster.Submit(spec).id();
  cluster.RunUntil(id, [](const v1::Job& job) { return job.state() != v1::JOB_STATE_QUEUED; });
  return id;
}

TEST(FailuresTest, TheShardsOfABrokenStreamGoBackAtOnce) {
  Cluster cluster;
  FakeWorker& first = cluster.AddWorker(4);
  BeginJob(cluster, SmallJob(3));
  ASSERT_EQ(first.Items().size(), 4);
  FakeWorker& second = cluster.AddWorker(4);
  EXPECT_THAT(second.Items(), IsEmpty());
  cluster.Kill(first);
  EXPECT_EQ(second.Items().size(), 4);
}

TEST(FailuresTest, ASilentWorkerIsLostAndWhatItSendsLaterIsStale) {
  Cluster cluster;
  FakeWorker& silent = cluster.AddWorker(4);
  const std::string id = BeginJob(cluster, SmallJob(1));
  FakeWorker& second = cluster.AddWorker(4);
  const std::vector<v1::WorkItem> items = silent.Items();
  cluster.clock.Advance(absl::Seconds(9));
  v1::Report heartbeat;
  heartbeat.mutable_heartbeat();
  second.Report(heartbeat);
  cluster.coordinator().Tick();
  EXPECT_FALSE(silent.closed().has_value());
  cluster.clock.Advance(absl::Seconds(2));
  cluster.coordinator().Tick();
  ASSERT_TRUE(silent.closed().has_value());
  EXPECT_EQ(silent.closed()->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(second.Items().size(), 4);
  silent.Complete(items[0]);
  EXPECT_EQ(second.Items().size(), 4) << "a result of a lost worker counted";
  const std::vector<v1::WorkerInfo> listed = cluster.coordinator().Workers();
  ASSERT_EQ(listed.size(), 2);
  EXPECT_EQ(listed[1].state(), v1::WorkerInfo::STATE_LOST);
  EXPECT_EQ(cluster.RunToEnd(id).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST(FailuresTest, AWorkerIsNotSilentWhileWhatItSentIsBeingDealtWith) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  BeginJob(cluster, SmallJob(3));
  // The thread that would hear it is in Flush().
  worker.on_flush = [&] {
    cluster.clock.Advance(absl::Seconds(11));
    cluster.coordinator().Tick();
  };
  worker.CompleteOldest();
  cluster.coordinator().Tick();
  EXPECT_FALSE(worker.closed().has_value());
  cluster.clock.Advance(absl::Seconds(11));
  cluster.coordinator().Tick();
  EXPECT_TRUE(worker.closed().has_value());
}

TEST(FailuresTest, AnIdleSlotGetsACopyOfASlowShardAndTheFirstResultCounts) {
  Cluster cluster;
  FakeWorker& slow = cluster.AddWorker(1);
  FakeWorker& quick = cluster.AddWorker(3);
  BeginJob(cluster, SmallJob(2));
  ASSERT_EQ(slow.Items().size(), 1);
  while (quick.HasItems()) {
    quick.CompleteOldest();
  }
  const v1::WorkItem late = slow.Items()[0];
  cluster.clock.Advance(absl::Milliseconds(150));
  cluster.coordinator().Tick();
  ASSERT_EQ(quick.Items().size(), 1);
  EXPECT_EQ(quick.Items()[0].shard().first_task(), late.shard().first_task());
  EXPECT_EQ(quick.Items()[0].shard().iteration(), 0);
  quick.CompleteOldest();
  EXPECT_THAT(slow.dropped(), Contains(late.id()));
  // The second iteration is under way, once.
  size_t shards = 0;
  for (const auto& worker : cluster.workers()) {
    for (const v1::WorkItem& item : worker->Items()) {
      EXPECT_EQ(item.shard().iteration(), 1);
      ++shards;
    }
  }
  EXPECT_EQ(shards, 4);
}

TEST(FailuresTest, TheThirdDeathFailsTheJobAndNamesTheShard) {
  Cluster cluster;
  FakeWorker* worker = &cluster.AddWorker(1);
  const std::string id = BeginJob(cluster, SmallJob(3));
  for (int death = 0; death < 3; ++death) {
    ASSERT_TRUE(worker->HasItems());
    cluster.Kill(*worker);
    worker = &cluster.AddWorker(1);
  }
  const v1::Job job = cluster.RunToEnd(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job.failure_message(), HasSubstr("shard 0 of iteration 0 (tasks 0..1)"));
  EXPECT_THAT(worker->released_jobs(), IsEmpty()) << "it never heard of the job";
}

TEST(FailuresTest, AShardThatTakesTooLongEndsItsWorkersStream) {
  v1::JobSpec spec = SmallJob(3);
  spec.mutable_limits()->set_shard_timeout_seconds(5);
  Cluster cluster;
  FakeWorker& hanging = cluster.AddWorker(2);
  BeginJob(cluster, spec);
  FakeWorker& other = cluster.AddWorker(4);
  while (other.HasItems()) {
    other.CompleteOldest();
  }
  cluster.clock.Advance(absl::Seconds(4));
  v1::Report heartbeat;
  heartbeat.mutable_heartbeat();
  hanging.Report(heartbeat);
  other.Report(heartbeat);
  cluster.clock.Advance(absl::Seconds(2));
  cluster.coordinator().Tick();
  ASSERT_TRUE(hanging.closed().has_value());
  EXPECT_THAT(std::string(hanging.closed()->message()), HasSubstr("of iteration 0"));
  EXPECT_THAT(cluster.metrics->gone, ElementsAre(Gone::kHung));
  EXPECT_FALSE(other.closed().has_value());
  EXPECT_EQ(other.Items().size(), 2);
}

TEST(FailuresTest, TheSameErrorFromTwoWorkersFailsTheJobWithThatError) {
  Cluster cluster;
  FakeWorker& first = cluster.AddWorker(1);
  const std::string id = BeginJob(cluster, SmallJob(3));
  FakeWorker& second = cluster.AddWorker(1);
  second.CompleteOldest();
  first.Fail(first.Items()[0], absl::StatusCode::kInternal, "matrix is singular");
  // The failed shard is left to the other one.
  while (second.HasItems() && second.Items()[0].shard().first_task() != 0) {
    second.CompleteOldest();
  }
  ASSERT_TRUE(second.HasItems());
  second.Fail(second.Items()[0], absl::StatusCode::kInternal, "matrix is singular");
  const v1::Job job = cluster.RunToEnd(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job.failure_code(), static_cast<int>(absl::StatusCode::kInternal));
  EXPECT_THAT(job.failure_message(), HasSubstr("matrix is singular"));
  EXPECT_THAT(first.released_jobs(), Contains(id));
}

TEST(FailuresTest, AnInitialisationThatIsRefusedFailsTheJobAtOnce) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(3)).id();
  worker.Fail(worker.Items()[0], absl::StatusCode::kResourceExhausted,
              "the model has 300000000 parameters; at most 250000000 can be");
  const v1::Job job = cluster.RunToEnd(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job.failure_message(), HasSubstr("at most 250000000"));
}

TEST(FailuresTest, ResultsOfAnotherSizeOrShapeAreErrorsOfTheirWorker) {
  Cluster cluster;
  FakeWorker& good = cluster.AddWorker(1);
  const std::string id = BeginJob(cluster, SmallJob(1));
  FakeWorker& bad = cluster.AddWorker(1);
  bad.width = 1000;
  ASSERT_TRUE(bad.HasItems());
  bad.CompleteOldest();
  EXPECT_EQ(cluster.Get(id).shards_reissued(), 1);
  bad.width = 37;
  while (good.HasItems()) {
    good.CompleteOldest();
  }
  EXPECT_EQ(cluster.RunToEnd(id).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST(FailuresTest, OnlyTheBufferOfAnItemUnderWayIsWantedAndOnlyOnce) {
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  FakeWorker& other = cluster.AddWorker(1);
  BeginJob(cluster, SmallJob(1));
  const v1::WorkItem item = worker.Items()[0];
  const uint64_t bytes = 48 * sizeof(float);
  Coordinator& coordinator = cluster.coordinator();
  EXPECT_FALSE(coordinator.WantsBuffer(worker.id(), item.id(), bytes)) << "no result began";
  v1::Report report;
  report.mutable_result()->set_work_id(item.id());
  report.mutable_result()->set_bytes(bytes);
  report.mutable_result()->set_transfer(5);
  report.mutable_result()->mutable_metrics()->set_tasks(2);
  worker.Report(report);
  EXPECT_FALSE(coordinator.WantsBuffer(worker.id(), item.id(), bytes + 4));
  EXPECT_FALSE(coordinator.WantsBuffer(worker.id(), item.id() + 1000, bytes));
  EXPECT_FALSE(coordinator.WantsBuffer(other.id(), item.id(), bytes)) << "another worker's item";
  EXPECT_TRUE(coordinator.WantsBuffer(worker.id(), item.id(), bytes));
  EXPECT_FALSE(coordinator.WantsBuffer(worker.id(), item.id(), bytes)) << "twice";
}

// The worker announces the parameters that it drew: 400 MB, of which two do not travel at once.
uint64_t AnnounceLarge(FakeWorker& worker, uint64_t transfer) {
  const v1::WorkItem item = worker.Items().front();
  EXPECT_TRUE(item.has_initialise());
  v1::Report report;
  v1::ResultBegin& result = *report.mutable_result();
  result.set_work_id(item.id());
  result.set_bytes(400'000'000);
  result.set_transfer(transfer);
  result.set_announced(true);
  v1::TensorSpec& tensor = *result.mutable_layout()->add_tensors();
  tensor.set_name("weight");
  tensor.add_shape(100'000'000);
  worker.Report(report);
  return item.id();
}

TEST(FailuresTest, ALargeResultIsAskedForWhenTheOneBeforeItIsGivenUp) {
  Cluster cluster;
  FakeWorker& one = cluster.AddWorker(1);
  FakeWorker& other = cluster.AddWorker(1);
  const std::string first = cluster.Submit(SmallJob(3)).id();
  cluster.Submit(SmallJob(3));
  ASSERT_TRUE(one.HasItems() && other.HasItems());
  EXPECT_THAT(one.pulled(), IsEmpty());
  const uint64_t begun = AnnounceLarge(one, /*transfer=*/1);
  EXPECT_THAT(one.pulled(), ElementsAre(begun));
  const uint64_t waiting = AnnounceLarge(other, /*transfer=*/1);
  EXPECT_THAT(other.pulled(), IsEmpty());
  ASSERT_TRUE(cluster.coordinator().Cancel(first).ok());
  EXPECT_THAT(other.pulled(), ElementsAre(waiting));
  EXPECT_THAT(one.forgotten(), IsEmpty()) << "its frames may be on their way";
}

TEST(FailuresTest, AnAnnouncedResultThatNobodyWillAskForIsForgotten) {
  Cluster cluster;
  FakeWorker& one = cluster.AddWorker(1);
  FakeWorker& other = cluster.AddWorker(1);
  cluster.Submit(SmallJob(3));
  const std::string second = cluster.Submit(SmallJob(3)).id();
  ASSERT_TRUE(one.HasItems() && other.HasItems());
  AnnounceLarge(one, /*transfer=*/1);
  AnnounceLarge(other, /*transfer=*/7);
  ASSERT_TRUE(cluster.coordinator().Cancel(second).ok());
  EXPECT_THAT(other.forgotten(), ElementsAre(7));
  // Announced when it was dropped already.
  v1::Report late;
  late.mutable_result()->set_work_id(12345);
  late.mutable_result()->set_bytes(64);
  late.mutable_result()->set_transfer(8);
  late.mutable_result()->set_announced(true);
  other.Report(late);
  EXPECT_THAT(other.forgotten(), ElementsAre(7, 8));
}

TEST(FailuresTest, AWorkerOfAnotherKindIsNotUsedAndTheJobSaysSo) {
  Cluster cluster;
  FakeWorker& cpu = cluster.AddWorker(1, "cpu");
  const std::string id = BeginJob(cluster, SmallJob(5));
  FakeWorker& gpu = cluster.AddWorker(4, "gpu");
  EXPECT_THAT(gpu.Items(), IsEmpty());
  EXPECT_EQ(cluster.Get(id).waiting_for(), "");
  cluster.Kill(cpu);
  EXPECT_THAT(gpu.Items(), IsEmpty());
  EXPECT_THAT(cluster.Get(id).waiting_for(), HasSubstr("waits for a worker with fingerprint"));
  EXPECT_THAT(cluster.Get(id).waiting_for(),
              HasSubstr("another processor ('gpu' instead of 'cpu')"));
  // Also after a restart.
  cluster.Restart();
  EXPECT_THAT(cluster.Get(id).waiting_for(), HasSubstr("no workers are connected"));
  cluster.AddWorker(1, "cpu");
  EXPECT_EQ(cluster.RunToEnd(id).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST(FailuresTest, AWorkerThatDeclinesAJobIsNotAskedAgain) {
  Cluster cluster;
  FakeWorker& small = cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(2)).id();
  v1::Report declined;
  declined.mutable_declined()->set_job_id(id);
  declined.mutable_declined()->set_reason("too little memory");
  small.Report(declined);
  EXPECT_THAT(cluster.Get(id).waiting_for(), HasSubstr("too little memory"));
  FakeWorker& large = cluster.AddWorker(1);
  EXPECT_TRUE(large.HasItems());
}

TEST(FailuresTest, ADrainingWorkerGetsNothingNew) {
  Cluster cluster;
  FakeWorker& leaving = cluster.AddWorker(1);
  const std::string id = BeginJob(cluster, SmallJob(2));
  FakeWorker& staying = cluster.AddWorker(1);
  v1::Report report;
  report.mutable_draining();
  leaving.Report(report);
  leaving.CompleteOldest();
  while (cluster.Get(id).state() == v1::JOB_STATE_RUNNING && staying.HasItems()) {
    staying.CompleteOldest();
    EXPECT_FALSE(leaving.HasItems());
  }
  EXPECT_EQ(cluster.Get(id).iteration(), 2);
}

TEST(FailuresTest, NonFiniteUpdatesFailTheJobOrAreSkippedAsItSays) {
  v1::JobSpec spec = SmallJob(10);
  {
    Cluster cluster;
    cluster.AddWorker(1).nan_from = 3;
    const v1::Job job = cluster.RunToEnd(cluster.Submit(spec).id());
    EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
    EXPECT_THAT(job.failure_message(), HasSubstr("iteration 3"));
  }
  spec.mutable_non_finite()->set_action(v1::NonFinitePolicy::ACTION_SKIP);
  spec.mutable_non_finite()->set_max_consecutive(4);
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(1);
  worker.nan_from = 3;
  const v1::Job job = cluster.RunToEnd(cluster.Submit(spec).id());
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job.skipped_iterations(), 4);
  EXPECT_EQ(job.iteration(), 7);
}

TEST(FailuresTest, AFullDiskDoesNotStopTheTrainingButItsEnd) {
  v1::JobSpec spec = SmallJob(40);
  spec.mutable_checkpoint()->set_every(5);
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = BeginJob(cluster, spec);
  cluster.files.full = true;
  cluster.RunUntil(id, [](const v1::Job& job) {
    return job.state() == v1::JOB_STATE_FINISHING && job.warnings_size() > 0;
  });
  EXPECT_EQ(cluster.Get(id).iteration(), 40);
  EXPECT_THAT(cluster.Get(id).warnings(0), HasSubstr("No space left on device"));
  cluster.files.full = false;
  cluster.RunUntil(id, [&](const v1::Job& job) {
    cluster.clock.Advance(absl::Seconds(6));
    cluster.workers()[0]->Report([] {
      v1::Report heartbeat;
      heartbeat.mutable_heartbeat();
      return heartbeat;
    }());
    cluster.coordinator().Tick();
    return Ended(job);
  });
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(cluster.Get(id).warnings_size(), 0);
}

TEST(FailuresTest, AJobThatTakesLongerThanItsLimitFails) {
  v1::JobSpec spec = SmallJob(1000);
  spec.mutable_limits()->set_max_seconds(30);
  Cluster cluster;
  const std::string id = cluster.Submit(spec).id();
  EXPECT_EQ(cluster.Get(id).waiting_for(), "no workers are connected");
  cluster.clock.Advance(absl::Seconds(31));
  cluster.coordinator().Tick();
  const v1::Job job = cluster.RunToEnd(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job.failure_message(), HasSubstr("limits.max_seconds = 30"));
}

TEST(FailuresTest, AHelloThatCannotBeIsRefused) {
  Cluster cluster;
  v1::Hello hello;
  hello.set_protocol_version(2);
  hello.set_slots(1);
  EXPECT_EQ(cluster.coordinator().Connect(hello, nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
  hello.set_protocol_version(1);
  for (uint32_t slots : {0, 1025}) {
    hello.set_slots(slots);
    EXPECT_THAT(std::string(cluster.coordinator().Connect(hello, nullptr).status().message()),
                HasSubstr("1..1024"));
  }
}

}  // namespace
}  // namespace innerloop::server
