// What the logs of jobs say.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/outer/numerics.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class JobLogsTest : public ::testing::Test {
 protected:
  std::vector<v1::LogEntry> Log(const std::string& id) {
    // It may fail: a test fills the disk.
    cluster_.recorder->Flush().IgnoreError();
    return *cluster_.state->Log(id, 0, 10'000);
  }
  std::vector<std::string> Messages(const std::string& id) {
    std::vector<std::string> messages;
    for (const v1::LogEntry& entry : Log(id)) {
      messages.push_back(entry.message());
    }
    return messages;
  }
  // The one entry whose message holds `text`.
  v1::LogEntry Find(const std::string& id, const std::string& text) {
    std::vector<v1::LogEntry> found;
    for (const v1::LogEntry& entry : Log(id)) {
      if (entry.message().find(text) != std::string::npos) {
        found.push_back(entry);
      }
    }
    EXPECT_THAT(found, SizeIs(1)) << text;
    return found.empty() ? v1::LogEntry() : found[0];
  }
  std::string Begin(const v1::JobSpec& spec) {
    const std::string id = cluster_.Submit(spec).id();
    cluster_.RunUntil(id, [](const v1::Job& job) { return job.state() != v1::JOB_STATE_QUEUED; });
    return id;
  }

  Cluster cluster_;
};

TEST_F(JobLogsTest, TheStatesOfAJobAreInIt) {
  cluster_.AddWorker(2, "some processor");
  const std::string id = Begin(SmallJob(20));
  ASSERT_TRUE(cluster_.coordinator().Pause(id).ok());
  ASSERT_TRUE(cluster_.coordinator().Pause(id).ok());
  ASSERT_TRUE(cluster_.coordinator().Resume(id).ok());
  v1::JobSpec spec = cluster_.Get(id).spec();
  spec.set_iterations(30);
  ASSERT_TRUE(cluster_.coordinator().Revise(id, spec).ok());
  cluster_.RunToEnd(id);
  EXPECT_THAT(Find(id, "submitted: ").source(), "coordinator");
  EXPECT_THAT(Find(id, "initialised").message(), HasSubstr("some processor"));
  Find(id, "paused by a user");
  Find(id, "resumed by a user");
  EXPECT_THAT(Find(id, "revised by a user").message(), HasSubstr("iterations: 20 -> 30"));
  EXPECT_EQ(Find(id, "finished: 30 iterations").iteration(), 30);
  const std::vector<v1::LogEntry> log = Log(id);
  EXPECT_TRUE(std::is_sorted(log.begin(), log.end(), [](const auto& a, const auto& b) {
    return a.sequence() < b.sequence();
  }));
}

TEST_F(JobLogsTest, AShardThatFailsSaysWhichWhereWhyAndWhatFollows) {
  FakeWorker& first = cluster_.AddWorker(4);
  const std::string id = Begin(SmallJob(3));
  FakeWorker& second = cluster_.AddWorker(4);
  const v1::WorkItem item = first.Items()[1];
  first.Fail(item, absl::StatusCode::kInternal, "it broke");
  const v1::LogEntry retried = Find(id, "it broke");
  EXPECT_EQ(retried.severity(), v1::LOG_SEVERITY_WARNING);
  EXPECT_EQ(retried.source(), "worker-0");
  EXPECT_EQ(retried.iteration(), 0);
  EXPECT_EQ(retried.first_task(), item.shard().first_task());
  EXPECT_EQ(retried.last_task(), item.shard().last_task());
  EXPECT_THAT(retried.message(), HasSubstr("it is tried again"));
  second.Fail(second.Items()[0], absl::StatusCode::kInternal, "it broke");
  EXPECT_THAT(Messages(id), Contains(HasSubstr("it is not tried again")));
  const v1::LogEntry failed = Find(id, "failed: shard");
  EXPECT_EQ(failed.severity(), v1::LOG_SEVERITY_ERROR);
  EXPECT_EQ(failed.source(), "coordinator");
}

TEST_F(JobLogsTest, AWorkerThatIsLostSaysWhatItHad) {
  FakeWorker& first = cluster_.AddWorker(4);
  const std::string id = Begin(SmallJob(3));
  cluster_.Kill(first);
  const v1::LogEntry lost = Find(id, "the connection broke");
  EXPECT_EQ(lost.severity(), v1::LOG_SEVERITY_WARNING);
  EXPECT_EQ(lost.source(), "worker-0");
  EXPECT_THAT(lost.message(), HasSubstr("shard 0 of iteration 0"));
  EXPECT_THAT(lost.message(), HasSubstr("and 3 more"));

  cluster_.AddWorker(1);
  cluster_.clock.Advance(absl::Seconds(11));
  cluster_.coordinator().Tick();
  EXPECT_EQ(Find(id, "no heartbeat for 10s").source(), "worker-1");
}

TEST_F(JobLogsTest, AWorkerThatHangsOrDeclinesSaysSo) {
  FakeWorker& declining = cluster_.AddWorker(1);
  v1::JobSpec spec = SmallJob(3);
  spec.mutable_limits()->set_shard_timeout_seconds(5);
  const std::string id = Begin(spec);
  v1::Report declined;
  declined.mutable_declined()->set_job_id(id);
  declined.mutable_declined()->set_reason("too little memory");
  declining.Report(declined);
  EXPECT_EQ(Find(id, "declined the job: too little memory").source(), "worker-0");

  FakeWorker& hanging = cluster_.AddWorker(1);
  ASSERT_TRUE(hanging.HasItems());
  cluster_.clock.Advance(absl::Seconds(6));
  cluster_.coordinator().Tick();
  const v1::LogEntry hangs = Find(id, "shard_timeout_seconds");
  EXPECT_EQ(hangs.source(), "worker-1");
  EXPECT_EQ(hangs.severity(), v1::LOG_SEVERITY_WARNING);
}

TEST_F(JobLogsTest, ACopyOfASlowShardIsMentioned) {
  FakeWorker& slow = cluster_.AddWorker(1);
  FakeWorker& quick = cluster_.AddWorker(3);
  const std::string id = Begin(SmallJob(2));
  while (quick.HasItems()) {
    quick.CompleteOldest();
  }
  ASSERT_TRUE(slow.HasItems());
  cluster_.clock.Advance(absl::Milliseconds(150));
  cluster_.coordinator().Tick();
  const v1::LogEntry copy = Find(id, "is slow elsewhere");
  EXPECT_EQ(copy.severity(), v1::LOG_SEVERITY_INFO);
  EXPECT_EQ(copy.source(), "worker-1");
}

TEST_F(JobLogsTest, SkippedUpdatesAndCheckpointsThatCannotBeWrittenAreWarnings) {
  v1::JobSpec spec = SmallJob(100'000);
  spec.mutable_non_finite()->set_action(v1::NonFinitePolicy::ACTION_SKIP);
  spec.mutable_non_finite()->set_max_consecutive(1'000'000);
  spec.mutable_checkpoint()->set_every(4);
  FakeWorker& worker = cluster_.AddWorker(1);
  const std::string id = Begin(spec);
  worker.nan_from = 3;
  cluster_.files.full = true;
  cluster_.RunUntil(id, [](const v1::Job& job) {
    return job.skipped_iterations() >= 2 && !job.warnings().empty();
  });
  EXPECT_EQ(Find(id, "iteration 3 is skipped").severity(), v1::LOG_SEVERITY_WARNING);
  EXPECT_EQ(Find(id, "could not be written").severity(), v1::LOG_SEVERITY_ERROR);
}

TEST_F(JobLogsTest, WorkersNoticesAreInTheLogOfTheirJob) {
  FakeWorker& worker = cluster_.AddWorker(4);
  const std::string id = Begin(SmallJob(3));
  const auto notice = [&](const std::string& job, v1::LogSeverity severity,
                          const std::string& message) {
    v1::Report report;
    report.mutable_notice()->set_job_id(job);
    report.mutable_notice()->set_severity(severity);
    report.mutable_notice()->set_message(message);
    worker.Report(report);
  };
  notice(id, v1::LOG_SEVERITY_INFO, "peak memory: estimated 3 MiB");
  notice(id, v1::LOG_SEVERITY_WARNING, "one task at a time");
  notice("nosuchjob", v1::LOG_SEVERITY_WARNING, "of nobody");
  EXPECT_EQ(Find(id, "peak memory").severity(), v1::LOG_SEVERITY_INFO);
  EXPECT_EQ(Find(id, "one task at a time").source(), "worker-0");
  EXPECT_THAT(Messages(id), Not(Contains("of nobody")));
  EXPECT_THAT(Messages("nosuchjob"), IsEmpty());
}

TEST_F(JobLogsTest, ARestartAndADamagedCheckpointAreInIt) {
  v1::JobSpec spec = SmallJob(1'000'000);
  spec.mutable_checkpoint()->set_every(5);
  cluster_.AddWorker(1);
  const std::string id = Begin(spec);
  cluster_.RunUntil(id, [](const v1::Job& job) { return job.last_checkpoint().iteration() >= 10; });
  cluster_.Restart();
  const uint64_t last = cluster_.Get(id).last_checkpoint().iteration();
  Find(id, absl::StrCat("goes on from iteration ", last, " after a restart"));
  Damage(cluster_.Get(id).last_checkpoint().path());
  cluster_.Restart();
  EXPECT_LT(cluster_.Get(id).iteration(), last);
  EXPECT_THAT(Messages(id), Contains(HasSubstr("damaged")));
}

TEST_F(JobLogsTest, AJobThatGoesOnUnderOtherArithmeticIsWarnedOf) {
  v1::JobSpec spec = SmallJob(1'000'000);
  spec.mutable_checkpoint()->set_every(5);
  cluster_.AddWorker(1);
  const std::string id = Begin(spec);
  cluster_.RunUntil(id, [](const v1::Job& job) { return job.has_last_checkpoint(); });
  ASSERT_TRUE(cluster_.coordinator().Pause(id).ok());
  cluster_.RunUntil(
      id, [](const v1::Job& job) { return job.last_checkpoint().iteration() == job.iteration(); });
  EXPECT_THAT(cluster_.Get(id).warnings(), IsEmpty());
  Checkpoint checkpoint = *cluster_.checkpoints->Read(id, nullptr);
  EXPECT_EQ(checkpoint.metadata.outer_numerics(), kOuterNumerics);
  checkpoint.metadata.set_outer_numerics("0");
  ASSERT_TRUE(cluster_.checkpoints->Write(checkpoint, /*best=*/false, /*keep=*/2).ok());

  cluster_.Restart();
  ASSERT_THAT(cluster_.Get(id).warnings(), SizeIs(1));
  EXPECT_THAT(cluster_.Get(id).warnings(0), HasSubstr(absl::StrCat("versions 0+", kOuterNumerics)));
  EXPECT_EQ(Find(id, "of the coordinator's arithmetic").severity(), v1::LOG_SEVERITY_WARNING);

  // It stays so, and is not said again.
  ASSERT_TRUE(cluster_.coordinator().Resume(id).ok());
  cluster_.AddWorker(1);
  const uint64_t before = checkpoint.metadata.iteration();
  cluster_.RunUntil(id,
                    [&](const v1::Job& job) { return job.last_checkpoint().iteration() > before; });
  cluster_.Restart();
  EXPECT_THAT(cluster_.Get(id).warnings(), SizeIs(1));
  Find(id, "of the coordinator's arithmetic");
}

}  // namespace
}  // namespace innerloop::server
