#include "server/metrics/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include <gmock/gmock.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/core/support/manual_clock.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What an HTTP GET of http://127.0.0.1:PORT/metrics answers.
std::string Get(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<uint16_t>(port));
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&target), sizeof(target)), 0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(descriptor, request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(descriptor, buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  close(descriptor);
  return answer;
}

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest()
      : metrics_(*Metrics::Create("127.0.0.1:0", /*state_dir=*/"/",
                                  /*certificate_end=*/absl::FromUnixSeconds(1900000000), clock_)) {}

  std::string Page() { return Get(metrics_->address()); }
  static v1::IterationRecord Record(double meta_loss) {
    v1::IterationRecord record;
    record.set_meta_loss(meta_loss);
    record.set_update_norm(0.5);
    record.set_learning_rate(0.001);
    return record;
  }

  ManualClock clock_;
  std::unique_ptr<Metrics> metrics_;
};

TEST_F(MetricsTest, LossesAreMeansOfTheLastSecondsIterations) {
  const auto job = metrics_->ForJob("a");
  job->OnIteration(Record(100));
  EXPECT_THAT(Page(), HasSubstr("innerloop_meta_loss{job=\"a\"} 100"));
  clock_.Advance(absl::Milliseconds(500));
  job->OnIteration(Record(1));
  EXPECT_THAT(Page(), HasSubstr("innerloop_meta_loss{job=\"a\"} 100")) << "its second is not over";
  clock_.Advance(absl::Milliseconds(500));
  job->OnIteration(Record(2));
  EXPECT_THAT(Page(), HasSubstr("innerloop_meta_loss{job=\"a\"} 1.5"));
  job->OnIteration(Record(7));
  clock_.Advance(absl::Seconds(1));
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("innerloop_meta_loss{job=\"a\"} 7")) << "the last ones count too";
  EXPECT_THAT(page, HasSubstr("innerloop_iterations_total{job=\"a\"} 4"));
  EXPECT_THAT(page, HasSubstr("innerloop_update_norm{job=\"a\"} 0.5"));
  EXPECT_THAT(page, HasSubstr("innerloop_learning_rate{job=\"a\"} 0.001"));
  EXPECT_THAT(page, Not(HasSubstr("innerloop_meta_accuracy"))) << "a regression has none";
}

TEST_F(MetricsTest, LossesAroundAdaptationAndAccuracyAreShownWhereMeasured) {
  const auto job = metrics_->ForJob("a");
  v1::IterationRecord record = Record(0.25);
  record.set_meta_accuracy(0.75);
  record.set_support_loss_before(4);
  record.set_support_loss_after(3);
  record.set_query_loss_before(2);
  job->OnIteration(record);
  job->OnIteration(Record(0.25));
  v1::IterationRecord skipped;
  skipped.set_skipped(true);
  skipped.set_learning_rate(0.001);
  job->OnIteration(skipped);
  const std::string page = Page();
  for (const char* line : {"innerloop_meta_accuracy{job=\"a\"} 0.75",
                           "innerloop_support_loss{job=\"a\",adaptation=\"before\"} 4",
                           "innerloop_support_loss{job=\"a\",adaptation=\"after\"} 3",
                           "innerloop_query_loss{job=\"a\",adaptation=\"before\"} 2",
                           "innerloop_query_loss{job=\"a\",adaptation=\"after\"} 0.25",
                           "innerloop_skipped_iterations_total{job=\"a\"} 1"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(MetricsTest, CountsWhatHappensToAJobsShards) {
  const auto job = metrics_->ForJob("a");
  job->OnTasks("counted", 25);
  job->OnTasks("stale", 13);
  job->OnShardsInFlight(3);
  job->OnShardsInFlight(-1);
  job->OnShardReissued();
  job->OnPhase(Phase::kOuterStep, absl::Milliseconds(3));
  const std::string page = Page();
  for (const char* line :
       {"innerloop_tasks_total{job=\"a\",outcome=\"counted\"} 25",
        "innerloop_tasks_total{job=\"a\",outcome=\"stale\"} 13",
        "innerloop_shards_in_flight{job=\"a\"} 2", "innerloop_shards_reissued_total{job=\"a\"} 1",
        "innerloop_iteration_phase_seconds_count{job=\"a\",phase=\"outer_step\"} 1",
        "innerloop_iteration_phase_seconds_bucket{job=\"a\",phase=\"outer_step\",le=\"0.002\"} 0",
        "innerloop_iteration_phase_seconds_bucket{job=\"a\",phase=\"outer_step\",le=\"0.005\"} "
        "1"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(MetricsTest, TheQueryLossAfterAdaptationIsShownWhereItIsWhatIsMinimised) {
  const auto job = metrics_->ForJob("a");
  v1::JobSpec spec;
  spec.mutable_objective()->add_terms()->mutable_query_loss();
  job->OnSpec(spec);
  v1::IterationRecord record = Record(0.25);
  record.set_query_loss_before(2);
  job->OnIteration(record);
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("innerloop_meta_loss{job=\"a\"} 0.25"));
  EXPECT_THAT(page, HasSubstr("innerloop_query_loss{job=\"a\",adaptation=\"before\"} 2"));
  EXPECT_THAT(page, Not(HasSubstr("adaptation=\"after\"")));
}

TEST_F(MetricsTest, TellsWhatAJobIsAndHowFarItIs) {
  const auto job = metrics_->ForJob("a");
  v1::JobSpec spec;
  spec.set_name("my \"first\"");
  spec.mutable_algorithm()->mutable_maml();
  spec.mutable_model()->mutable_mlp();
  spec.mutable_tasks()->mutable_sinusoid();
  job->OnSpec(spec);
  job->OnProgress({.state = v1::JOB_STATE_RUNNING, .iteration = 7, .iterations = 100});
  std::string page = Page();
  for (const char* line :
       {"innerloop_job_info{job=\"a\",name=\"my \\\"first\\\"\",algorithm=\"maml\",model=\"mlp\","
        "tasks=\"sinusoid\"} 1",
        "innerloop_job_state{job=\"a\",state=\"running\"} 1",
        "innerloop_job_iteration{job=\"a\"} 7", "innerloop_job_target_iterations{job=\"a\"} 100",
        "innerloop_job_waiting{job=\"a\"} 0"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
  spec.set_name("second");
  job->OnSpec(spec);
  job->OnProgress({.state = v1::JOB_STATE_QUEUED, .waiting = true});
  page = Page();
  EXPECT_THAT(page, HasSubstr("name=\"second\""));
  EXPECT_THAT(page, Not(HasSubstr("name=\"my")));
  EXPECT_THAT(page, HasSubstr("innerloop_job_state{job=\"a\",state=\"queued\"} 1"));
  EXPECT_THAT(page, Not(HasSubstr("innerloop_job_state{job=\"a\",state=\"running\"}")));
  EXPECT_THAT(page, HasSubstr("innerloop_job_waiting{job=\"a\"} 1"));
}

TEST_F(MetricsTest, CheckpointsTellTheirTimeSizeAgeAndFailures) {
  const auto job = metrics_->ForJob("a");
  v1::JobSpec spec;
  spec.mutable_checkpoint()->set_every_seconds(30);
  job->OnSpec(spec);
  clock_.Advance(absl::Seconds(5));
  std::string page = Page();
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_age_seconds{job=\"a\"} 5"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_interval_seconds{job=\"a\"} 30"));
  EXPECT_THAT(page, Not(HasSubstr("innerloop_checkpoint_timestamp_seconds")));
  v1::CheckpointInfo written;
  written.set_bytes(4096);
  *written.mutable_written() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(clock_.Now()));
  job->OnCheckpoint(written, absl::Milliseconds(250));
  clock_.Advance(absl::Seconds(40));
  job->OnCheckpointFailed();
  page = Page();
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_seconds{job=\"a\"} 0.25"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_bytes{job=\"a\"} 4096"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_timestamp_seconds{job=\"a\"} 1800003605"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_age_seconds{job=\"a\"} 40"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_failures_total{job=\"a\"} 1"));
}

TEST_F(MetricsTest, ACheckpointFoundAtAStartHasNoTimeOfWriting) {
  const auto job = metrics_->ForJob("a");
  job->OnCheckpoint(v1::CheckpointInfo(), std::nullopt);
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_timestamp_seconds{job=\"a\"} 0"));
  EXPECT_THAT(page, Not(HasSubstr("innerloop_checkpoint_seconds")));
}

TEST_F(MetricsTest, EvaluationsAreShownAfterAFewStepsAndTheLast) {
  const auto job = metrics_->ForJob("a");
  v1::Evaluation evaluation;
  evaluation.set_iteration(500);
  evaluation.set_periodic(true);
  evaluation.mutable_protocol()->set_split(v1::SPLIT_VALIDATION);
  for (uint32_t step = 0; step <= 50; ++step) {
    v1::StepMeasure* measure = evaluation.add_steps();
    measure->set_step(step);
    measure->set_loss(step);
    measure->set_accuracy(0.5);
  }
  job->OnEvaluation(evaluation);
  const std::string page = Page();
  const std::string labels = "{job=\"a\",schedule=\"periodic\",split=\"validation\"";
  EXPECT_THAT(page, HasSubstr(absl::StrCat("innerloop_evaluation_iteration", labels, "} 500")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("innerloop_evaluation_loss", labels,
                                           ",step=\"10\",adaptation=\"during\"} 10")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("innerloop_evaluation_loss", labels,
                                           ",step=\"50\",adaptation=\"after\"} 50")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("innerloop_evaluation_accuracy", labels,
                                           ",step=\"0\",adaptation=\"before\"} 0.5")));
  EXPECT_THAT(page, Not(HasSubstr("step=\"11\"")));
}

TEST_F(MetricsTest, ARemovedJobsSeriesGoAwayWhoeverStillReports) {
  const auto job = metrics_->ForJob("a");
  metrics_->ForJob("b")->OnIteration(Record(1));
  metrics_->Remove("a");
  job->OnIteration(Record(1));
  const std::string page = Page();
  EXPECT_THAT(page, Not(HasSubstr("job=\"a\"")));
  EXPECT_THAT(page, HasSubstr("job=\"b\""));
}

TEST_F(MetricsTest, ShowsWorkersJobsBytesAndBuild) {
  metrics_->OnWorkers(/*connected=*/2, /*draining=*/1, /*lost=*/0, /*slots=*/5, /*busy_slots=*/3);
  metrics_->OnJobs(v1::JOB_STATE_RUNNING, 4);
  metrics_->OnBytes(/*sent=*/1000, /*received=*/10);
  metrics_->OnBytes(/*sent=*/500, /*received=*/0);
  metrics_->OnWorkerConnected();
  metrics_->OnWorkerGone(Gone::kLost);
  metrics_->OnWorkerGone(Gone::kHung);
  metrics_->OnWorkerGone(Gone::kHung);
  const std::string page = Page();
  for (const char* line :
       {"innerloop_workers{state=\"connected\"} 2", "innerloop_workers{state=\"draining\"} 1",
        "innerloop_slots{state=\"busy\"} 3", "innerloop_slots{state=\"free\"} 2",
        "innerloop_jobs{state=\"running\"} 4", "innerloop_jobs{state=\"failed\"} 0",
        "innerloop_workers_connected_total 1", "innerloop_workers_gone_total{reason=\"lost\"} 1",
        "innerloop_workers_gone_total{reason=\"silent\"} 0",
        "innerloop_workers_gone_total{reason=\"hung\"} 2", "innerloop_state_disk_free_bytes ",
        "innerloop_state_disk_size_bytes ", "innerloop_bytes_sent_total 1500",
        "innerloop_bytes_received_total 10", "innerloop_build_info{version=\"",
        "process_start_time_seconds 1800003600",
        "innerloop_certificate_expiry_timestamp_seconds 1900000000"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(MetricsTest, ATakenPortIsNamed) {
  const absl::Status status =
      Metrics::Create(metrics_->address(), "/", absl::InfiniteFuture(), clock_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(metrics_->address()));
}

TEST_F(MetricsTest, WithoutAnAddressNothingIsServed) {
  const auto metrics = Metrics::Create("", "/", absl::InfiniteFuture(), clock_);
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ((*metrics)->address(), "");
}

}  // namespace
}  // namespace innerloop::server
