// Evaluations that users ask for.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Answers everything but evaluations, until nothing else is asked: with two of them under way, the
// training waits.
void AnswerAllButEvaluations(FakeWorker& worker) {
  for (bool answered = true; answered;) {
    answered = false;
    for (const v1::WorkItem& item : worker.Items()) {
      if (!answered && !item.has_evaluation()) {
        worker.Complete(item);
        answered = true;
      }
    }
  }
}

TEST(EvaluationsTest, OneThatAUserAsksForIsApartFromThoseOfTheJob) {
  v1::JobSpec spec = SmallJob(100'000'000);
  spec.mutable_checkpoint()->set_every(2);
  spec.mutable_evaluation()->set_every(2);
  spec.mutable_evaluation()->mutable_periodic()->set_episodes(10);
  Cluster cluster;
  FakeWorker& worker = cluster.AddWorker(8);
  const std::string id = cluster.Submit(spec).id();
  AnswerAllButEvaluations(worker);
  // The second one comes when the checkpoint before it was reported.
  ASSERT_TRUE(cluster.recorder->Flush().ok() && cluster.recorder->Flush().ok());

  v1::EvaluateRequest request;
  request.set_checkpoint(id + "@2");
  request.mutable_protocol()->set_episodes(10);
  request.mutable_protocol()->set_inner_steps(3);
  absl::StatusOr<v1::Evaluation> result = absl::UnknownError("never answered");
  cluster.coordinator().Evaluate(
      request, [&](absl::StatusOr<v1::Evaluation> evaluation) { result = std::move(evaluation); });
  const std::vector<v1::WorkItem> items = worker.Items();
  ASSERT_THAT(items, SizeIs(3));
  std::set<std::string> wire_ids;
  for (const v1::WorkItem& item : items) {
    wire_ids.insert(item.job_id());
  }
  EXPECT_THAT(wire_ids, SizeIs(3));
  // A worker that cannot do one of them has nothing against the others.
  worker.Fail(items[2], absl::StatusCode::kInvalidArgument, "protocol.shots is too many");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  cluster.RunUntil(id, [](const v1::Job& job) { return job.iteration() > 6; });
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_RUNNING);
}

TEST(EvaluationsTest, ThoseWhoseCheckpointIsStillBeingReadCountToo) {
  Cluster cluster;
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  v1::EvaluateRequest request;
  request.set_checkpoint(id);
  int asked = 0;
  std::vector<int> refused;
  const auto ask = [&] {
    const int number = ++asked;
    cluster.coordinator().Evaluate(request, [&refused, number](const auto& evaluation) {
      if (absl::IsResourceExhausted(evaluation.status())) {
        refused.push_back(number);
      }
    });
  };
  // While one looks for its checkpoint, the next one comes.
  cluster.files.before_list = [&] {
    if (asked < 65) {
      ask();
    }
  };
  ask();
  cluster.files.before_list = nullptr;
  EXPECT_THAT(refused, ElementsAre(65));
}

}  // namespace
}  // namespace innerloop::server
