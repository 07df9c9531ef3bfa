// Lists and watches of jobs: what can outgrow a message.
#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/server/service/training_service_fixture.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class JobEventsTest : public TrainingServiceTest {
 protected:
  // All messages of a watch that ends by itself.
  std::vector<v1::JobEvents> Watch(const std::string& id, uint64_t from, grpc::Status* status) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_id(id);
    request.set_from_iteration(from);
    const auto reader = stub_->WatchJob(&context, request);
    std::vector<v1::JobEvents> messages;
    for (v1::JobEvents events; reader->Read(&events);) {
      messages.push_back(events);
    }
    *status = reader->Finish();
    return messages;
  }
  static std::vector<uint64_t> IterationsIn(const std::vector<v1::JobEvents>& messages) {
    std::vector<uint64_t> iterations;
    for (const v1::JobEvents& events : messages) {
      for (const v1::IterationRecord& record : events.iterations()) {
        iterations.push_back(record.iteration());
      }
    }
    return iterations;
  }
};

TEST_F(JobEventsTest, AWatchFromAnImpossibleIterationIsRefused) {
  Put("a", v1::JOB_STATE_SUCCEEDED);
  grpc::Status status;
  Watch("a", 1'000'000'000'000, &status);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(Watch("a", uint64_t{1} << 63, &status), IsEmpty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "from_iteration is 9223372036854775808; at most 1000000000000 can be");
}

// More than a message holds, even without the names of classes.
TEST_F(JobEventsTest, ManyJobsWithLongListsOfClassesAreListedPageByPage) {
  constexpr int kJobs = 1000;
  for (int i = 0; i < kJobs; ++i) {
    v1::Job job;
    job.set_id(absl::StrCat("j", i));
    // Two of each second.
    job.mutable_submitted()->set_seconds((kJobs - i) / 2);
    job.set_failure_message(std::string(10'000, 'x'));
    v1::TaskSource& tasks = *job.mutable_spec()->mutable_tasks();
    v1::ClassSplit& split = i % 2 == 0 ? *tasks.mutable_episodes()->mutable_split()
                                       : *tasks.mutable_grouped()->mutable_split();
    for (int name = 0; name < 100; ++name) {
      split.mutable_names()->add_train(std::string(200, 'c'));
    }
    coordinator_.Put(job);
  }
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  int pages = 0;
  do {
    v1::ListJobsResponse page;
    grpc::ClientContext context;
    const grpc::Status status = stub_->ListJobs(&context, request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_LT(page.ByteSizeLong(), 2 << 20);
    jobs.insert(jobs.end(), page.jobs().begin(), page.jobs().end());
    request.set_page_token(page.next_page_token());
    // The next page does not need the one that this one ended with.
    ASSERT_TRUE(coordinator_.Delete(jobs.back().id()).ok());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_GT(pages, 5);
  ASSERT_THAT(jobs, SizeIs(kJobs));
  EXPECT_TRUE(std::is_sorted(jobs.begin(), jobs.end(), [](const v1::Job& a, const v1::Job& b) {
    return PlaceOf(a) < PlaceOf(b);
  }));
  EXPECT_TRUE(jobs[0].spec().tasks().grouped().split().has_names());
  EXPECT_THAT(jobs[0].spec().tasks().grouped().split().names().train(), IsEmpty());
  EXPECT_THAT(jobs[2].spec().tasks().episodes().split().names().train(), IsEmpty());
}

TEST_F(JobEventsTest, APageTokenThatIsNoneIsRefused) {
  v1::ListJobsRequest request;
  request.set_page_token("second");
  v1::ListJobsResponse page;
  const grpc::Status status = stub_->ListJobs(&context_, request, &page);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("page_token"));
}

TEST_F(JobEventsTest, AWatchOfAnEndedJobGivesItsWholeHistoryInBatches) {
  Put("a", v1::JOB_STATE_SUCCEEDED);
  ASSERT_TRUE(state_->AppendHistory("a", Records(0, 2500), {PeriodicEvaluation(1000, 1)}).ok());
  recorder_.AddIteration("a", Record(2500));
  grpc::Status status;
  const auto messages = Watch("a", 0, &status);
  EXPECT_TRUE(status.ok()) << status.error_message();
  const auto iterations = IterationsIn(messages);
  ASSERT_THAT(iterations, SizeIs(2501));
  for (uint64_t i = 0; i < iterations.size(); ++i) {
    ASSERT_EQ(iterations[i], i);
  }
  int evaluations = 0;
  for (const v1::JobEvents& events : messages) {
    EXPECT_LE(events.iterations_size(), 1000);
    evaluations += events.evaluations_size();
  }
  EXPECT_EQ(evaluations, 1);
  EXPECT_EQ(messages.back().job().state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobEventsTest, AWatchGoesOnFromAnIteration) {
  Put("a", v1::JOB_STATE_FAILED);
  ASSERT_TRUE(state_
                  ->AppendHistory("a", Records(0, 20),
                                  {PeriodicEvaluation(5, 1), PeriodicEvaluation(15, 1)})
                  .ok());
  grpc::Status status;
  const auto messages = Watch("a", 17, &status);
  EXPECT_THAT(IterationsIn(messages), ElementsAre(17, 18, 19));
  EXPECT_THAT(messages.back().evaluations(), IsEmpty());
  const auto earlier = Watch("a", 10, &status);
  ASSERT_EQ(earlier.front().evaluations_size(), 1);
  EXPECT_EQ(earlier.front().evaluations(0).iteration(), 15);
}

TEST_F(JobEventsTest, MoreEvaluationsThanAMessageHoldsComeInSeveral) {
  Put("a", v1::JOB_STATE_SUCCEEDED);
  std::vector<v1::Evaluation> evaluations;
  for (uint64_t i = 0; i < 1000; ++i) {
    evaluations.push_back(PeriodicEvaluation(i, 1));
    for (uint32_t step = 1; step < 200; ++step) {
      v1::StepMeasure& measure = *evaluations.back().add_steps();
      measure.set_step(step);
      measure.set_loss(1);
      measure.set_loss_ci95(1);
    }
  }
  ASSERT_TRUE(state_->AppendHistory("a", {}, evaluations).ok());
  grpc::Status status;
  std::set<uint64_t> seen;
  const std::vector<v1::JobEvents> messages = Watch("a", 0, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  for (const v1::JobEvents& events : messages) {
    for (const v1::Evaluation& evaluation : events.evaluations()) {
      EXPECT_TRUE(seen.insert(evaluation.iteration()).second);
    }
  }
  EXPECT_THAT(seen, SizeIs(1000));
  EXPECT_THAT(messages.size(), Gt(3));
  EXPECT_EQ(messages.back().job().state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobEventsTest, AWatchFollowsARunningJobToItsEnd) {
  Put("a", v1::JOB_STATE_RUNNING);
  recorder_.AddIteration("a", Record(0));
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_id("a");
  const auto reader = stub_->WatchJob(&context, request);
  v1::JobEvents events;
  ASSERT_TRUE(reader->Read(&events));
  EXPECT_EQ(events.iterations_size(), 1);
  EXPECT_EQ(events.job().state(), v1::JOB_STATE_RUNNING);

  recorder_.AddIteration("a", Record(1));
  v1::Job job = JobNamed("a");
  *job.mutable_last_periodic() = PeriodicEvaluation(2, 0.5);
  coordinator_.Put(job);
  ASSERT_TRUE(reader->Read(&events));
  ASSERT_EQ(events.iterations_size(), 1);
  EXPECT_EQ(events.iterations(0).iteration(), 1);
  ASSERT_EQ(events.evaluations_size(), 1);
  EXPECT_EQ(events.evaluations(0).iteration(), 2);

  job.set_state(v1::JOB_STATE_CANCELLED);
  coordinator_.Put(job);
  ASSERT_TRUE(reader->Read(&events));
  EXPECT_EQ(events.job().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_THAT(events.evaluations(), IsEmpty()) << "each is told once";
  EXPECT_FALSE(reader->Read(&events));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(JobEventsTest, AWatchOfAnUnknownJobIsNotFound) {
  grpc::Status status;
  EXPECT_THAT(Watch("none", 0, &status), IsEmpty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace innerloop::server
