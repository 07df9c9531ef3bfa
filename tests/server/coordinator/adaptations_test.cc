// Adaptations to users' own tasks: what workers are sent, and what becomes of their answers.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/jobs/pinned_checkpoints.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

std::string Floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

v1::AdaptationTask TaskOf(const std::vector<float>& queries) {
  v1::AdaptationTask task;
  task.mutable_support()->mutable_inputs()->add_shape(1);
  task.mutable_support()->mutable_inputs()->set_float32(Floats({1, 2}));
  task.mutable_support()->add_targets(3);
  task.mutable_support()->add_targets(4);
  task.mutable_rule()->set_inner_steps(2);
  task.mutable_queries()->add_shape(1);
  task.mutable_queries()->set_float32(Floats(queries));
  return task;
}

class AdaptationsTest : public ::testing::Test {
 protected:
  // A job that ended after two iterations.
  std::string Trained() {
    FakeWorker& worker = cluster_.AddWorker();
    const std::string id = cluster_.Submit(SmallJob(2)).id();
    cluster_.RunToEnd(id);
    cluster_.Kill(worker);
    return id;
  }
  PinnedCheckpoints::Pin Pin(const std::string& reference) {
    const auto pin = cluster_.coordinator().Pin(reference);
    EXPECT_TRUE(pin.ok()) << pin.status();
    return pin.ok() ? *pin : nullptr;
  }
  // The answer is in results_[index returned] once it came.
  size_t Adapt(const PinnedCheckpoints::Pin& pin, v1::AdaptationTask task) {
    const size_t index = results_.size();
    results_.emplace_back();
    give_up_ = cluster_.coordinator().Adapt(pin, std::move(task), [this, index](auto result) {
      EXPECT_FALSE(results_[index].has_value()) << "answered twice";
      results_[index] = std::move(result);
    });
    return index;
  }
  absl::Status StatusOf(size_t index) const {
    return results_[index].has_value() ? results_[index]->status()
                                       : absl::UnknownError("not answered");
  }

  // Destroyed after the cluster, whose end calls back.
  std::vector<std::optional<absl::StatusOr<Adapted>>> results_;
  // Of the last one.
  Coordinator::GiveUp give_up_;
  Cluster cluster_;
};

TEST_F(AdaptationsTest, AWorkerAdaptsTheCheckpointThatTheReferenceMeans) {
  const std::string id = Trained();
  const auto pin = Pin(id);
  EXPECT_EQ(pin->reference, id + "@2");
  EXPECT_EQ(pin->model.iteration(), 2);
  EXPECT_EQ(Pin(id + "@2"), pin) << "it is kept";
  FakeWorker& worker = cluster_.AddWorker();
  const size_t answer = Adapt(pin, TaskOf({5, 6, 7}));
  ASSERT_THAT(worker.Items(), SizeIs(1));
  EXPECT_EQ(worker.Items()[0].adaptation().version(), 2);
  EXPECT_EQ(worker.Items()[0].adaptation().support().targets_size(), 2);
  worker.CompleteOldest();
  ASSERT_TRUE(StatusOf(answer).ok()) << StatusOf(answer);
  const v1::AdaptationResult& result = (*results_[answer])->result;
  EXPECT_EQ(result.predictions().values_size(), 3);
  EXPECT_EQ(result.predictions().values(0), pin->parameters.values->data()[0]);
  EXPECT_EQ(result.support_losses_size(), 3);
}

TEST_F(AdaptationsTest, JobAndParametersAreSentForTheFirstCallAlone) {
  const auto pin = Pin(Trained());
  FakeWorker& worker = cluster_.AddWorker();
  for (int i = 0; i < 3; ++i) {
    // The worker complains of anything that is sent twice.
    const size_t answer = Adapt(pin, TaskOf({1}));
    worker.CompleteOldest();
    EXPECT_TRUE(StatusOf(answer).ok());
    EXPECT_EQ(worker.descriptions(), 1);
    EXPECT_TRUE(worker.holds(pin->description.job_id(), 2));
  }
}

TEST_F(AdaptationsTest, WorkersForgetTheCheckpointAMinuteAfterItsLastUse) {
  const auto pin = Pin(Trained());
  const std::string wire_id = pin->description.job_id();
  FakeWorker& worker = cluster_.AddWorker();
  Adapt(pin, TaskOf({1}));
  worker.CompleteOldest();
  cluster_.clock.Advance(absl::Seconds(50));
  Pin(pin->reference);
  cluster_.clock.Advance(absl::Seconds(50));
  cluster_.coordinator().OnAlive(worker.id());
  cluster_.coordinator().Tick();
  EXPECT_THAT(worker.released_jobs(), Not(Contains(wire_id)));
  cluster_.clock.Advance(absl::Seconds(11));
  cluster_.coordinator().OnAlive(worker.id());
  cluster_.coordinator().Tick();
  EXPECT_THAT(worker.released_jobs(), Contains(wire_id));
  // And are sent it again when it is used again.
  const size_t answer = Adapt(Pin(pin->reference), TaskOf({1}));
  worker.CompleteOldest();
  EXPECT_TRUE(StatusOf(answer).ok());
}

TEST_F(AdaptationsTest, AnotherWorkerTakesOverFromOneThatDies) {
  const auto pin = Pin(Trained());
  FakeWorker& first = cluster_.AddWorker();
  const size_t answer = Adapt(pin, TaskOf({1}));
  ASSERT_TRUE(first.HasItems());
  cluster_.Kill(first);
  EXPECT_FALSE(results_[answer].has_value());
  FakeWorker& second = cluster_.AddWorker();
  ASSERT_TRUE(second.HasItems());
  second.CompleteOldest();
  EXPECT_TRUE(StatusOf(answer).ok());
}

TEST_F(AdaptationsTest, AWorkerOfAnyFingerprintWillDo) {
  const auto pin = Pin(Trained());
  FakeWorker& other = cluster_.AddWorker(/*slots=*/1, "another processor");
  const size_t answer = Adapt(pin, TaskOf({1}));
  ASSERT_TRUE(other.HasItems());
  other.CompleteOldest();
  EXPECT_TRUE(StatusOf(answer).ok());
}

TEST_F(AdaptationsTest, WithoutWorkersItEndsAfterAMinute) {
  const auto pin = Pin(Trained());
  const size_t answer = Adapt(pin, TaskOf({1}));
  cluster_.coordinator().Tick();
  cluster_.clock.Advance(absl::Seconds(59));
  cluster_.coordinator().Tick();
  EXPECT_FALSE(results_[answer].has_value());
  cluster_.clock.Advance(absl::Seconds(2));
  cluster_.coordinator().Tick();
  EXPECT_EQ(StatusOf(answer), absl::UnavailableError("no workers are connected"));
}

TEST_F(AdaptationsTest, TheCoordinatorsStopEndsIt) {
  const auto pin = Pin(Trained());
  const size_t answer = Adapt(pin, TaskOf({1}));
  cluster_.coordinator().Stop(absl::ZeroDuration());
  EXPECT_EQ(StatusOf(answer), absl::UnavailableError("the coordinator is stopping"));
  const size_t late = Adapt(pin, TaskOf({1}));
  EXPECT_EQ(StatusOf(late).code(), absl::StatusCode::kUnavailable);
}

TEST_F(AdaptationsTest, WhatNobodyWaitsForIsGivenUp) {
  const auto pin = Pin(Trained());
  FakeWorker& worker = cluster_.AddWorker();
  const size_t answer = Adapt(pin, TaskOf({1}));
  ASSERT_TRUE(worker.HasItems());
  give_up_();
  EXPECT_EQ(StatusOf(answer).code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(worker.HasItems());
  const size_t next = Adapt(pin, TaskOf({1}));
  worker.CompleteOldest();
  EXPECT_TRUE(StatusOf(next).ok());
  give_up_();
  EXPECT_TRUE(StatusOf(next).ok()) << "it had ended";
}

TEST_F(AdaptationsTest, ThoseThatWaitAreNotWithoutNumber) {
  const auto pin = Pin(Trained());
  size_t last = Adapt(pin, TaskOf({1}));
  for (int i = 0; i < 200 && !results_[last].has_value(); ++i) {
    last = Adapt(pin, TaskOf({1}));
  }
  EXPECT_EQ(StatusOf(last),
            absl::ResourceExhaustedError("128 adaptations are under way; the coordinator takes at "
                                         "most 128 at a time: ask again when some have ended"));
  EXPECT_EQ(last, 128);
  FakeWorker& worker = cluster_.AddWorker();
  while (worker.HasItems()) {
    worker.CompleteOldest();
  }
  EXPECT_TRUE(StatusOf(127).ok()) << StatusOf(127);
  const size_t next = Adapt(pin, TaskOf({1}));
  worker.CompleteOldest();
  EXPECT_TRUE(StatusOf(next).ok()) << StatusOf(next);
}

TEST_F(AdaptationsTest, WhatTheWorkerRefusesIsNotTriedAgain) {
  const auto pin = Pin(Trained());
  FakeWorker& worker = cluster_.AddWorker();
  const size_t answer = Adapt(pin, TaskOf({1}));
  worker.Fail(worker.Items()[0], absl::StatusCode::kInvalidArgument, "it does not fit");
  EXPECT_EQ(StatusOf(answer), absl::InvalidArgumentError("it does not fit"));
}

TEST_F(AdaptationsTest, AnAnswerToOtherQueriesIsRefused) {
  const auto pin = Pin(Trained());
  FakeWorker& worker = cluster_.AddWorker();
  const size_t answer = Adapt(pin, TaskOf({1, 2}));
  while (worker.HasItems()) {
    v1::Report report;
    report.mutable_result()->set_work_id(worker.Items()[0].id());
    report.mutable_result()->mutable_adaptation()->mutable_predictions()->set_size(1);
    report.mutable_result()->mutable_adaptation()->mutable_predictions()->add_values(1);
    // As if the worker had answered it itself.
    v1::Instruction forget;
    forget.mutable_drop()->set_work_id(report.result().work_id());
    worker.Send(forget);
    worker.Report(report);
  }
  EXPECT_THAT(std::string(StatusOf(answer).message()),
              HasSubstr("1 values and 0 logits of size 1; 2 queries of size 1 were asked for"));
}

TEST_F(AdaptationsTest, AFileComesBackWhole) {
  const auto pin = Pin(Trained());
  FakeWorker& worker = cluster_.AddWorker();
  v1::AdaptationTask task = TaskOf({1});
  task.clear_queries();
  task.set_format(v1::ExportRequest::FORMAT_TORCHSCRIPT);
  const size_t answer = Adapt(pin, std::move(task));
  worker.CompleteOldest();
  ASSERT_TRUE(StatusOf(answer).ok()) << StatusOf(answer);
  const Adapted& adapted = **results_[answer];
  EXPECT_EQ(adapted.result.file_bytes(), 5);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(adapted.file.data()), 5),
            std::string(5, '\2'));
}

TEST_F(AdaptationsTest, UnknownJobsAndMissingCheckpointsAreNamed) {
  EXPECT_EQ(cluster_.coordinator().Pin("nosuch").status(),
            absl::NotFoundError("unknown job 'nosuch'"));
  const std::string queued = cluster_.Submit(SmallJob(2)).id();
  EXPECT_EQ(cluster_.coordinator().Pin(queued).status(),
            absl::NotFoundError("job '" + queued + "' has no checkpoints"));
  const std::string id = Trained();
  EXPECT_THAT(std::string(cluster_.coordinator().Pin(id + "@77").status().message()),
              HasSubstr("has those of iterations"));
  EXPECT_EQ(cluster_.coordinator().Pin(id + "@worst").status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace innerloop::server
