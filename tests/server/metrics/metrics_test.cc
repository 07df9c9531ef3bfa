#include "server/metrics/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
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
  MetricsTest() : metrics_(*Metrics::Create("127.0.0.1:0", clock_)) {}

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

TEST_F(MetricsTest, CheckpointsTellTheirTimeAgeAndFailures) {
  const auto job = metrics_->ForJob("a");
  EXPECT_THAT(Page(), Not(HasSubstr("innerloop_checkpoint_age_seconds")));
  job->OnCheckpoint(absl::Milliseconds(250), /*ok=*/true);
  clock_.Advance(absl::Seconds(40));
  job->OnCheckpoint(absl::Milliseconds(999), /*ok=*/false);
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_seconds{job=\"a\"} 0.25"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_timestamp_seconds{job=\"a\"} 1800003600"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_age_seconds{job=\"a\"} 40"));
  EXPECT_THAT(page, HasSubstr("innerloop_checkpoint_failures_total{job=\"a\"} 1"));
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
  EXPECT_THAT(page,
              HasSubstr(absl::StrCat("innerloop_evaluation_loss", labels, ",step=\"10\"} 10")));
  EXPECT_THAT(page,
              HasSubstr(absl::StrCat("innerloop_evaluation_loss", labels, ",step=\"50\"} 50")));
  EXPECT_THAT(page,
              HasSubstr(absl::StrCat("innerloop_evaluation_accuracy", labels, ",step=\"1\"} 0.5")));
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
  const std::string page = Page();
  for (const char* line :
       {"innerloop_workers{state=\"connected\"} 2", "innerloop_workers{state=\"draining\"} 1",
        "innerloop_slots{state=\"busy\"} 3", "innerloop_slots{state=\"free\"} 2",
        "innerloop_jobs{state=\"running\"} 4", "innerloop_bytes_sent_total 1500",
        "innerloop_bytes_received_total 10", "innerloop_build_info{version=\"",
        "process_start_time_seconds 1800003600"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(MetricsTest, ATakenPortIsNamed) {
  const absl::Status status = Metrics::Create(metrics_->address(), clock_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(metrics_->address()));
}

TEST_F(MetricsTest, WithoutAnAddressNothingIsServed) {
  const auto metrics = Metrics::Create("", clock_);
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ((*metrics)->address(), "");
}

}  // namespace
}  // namespace innerloop::server
