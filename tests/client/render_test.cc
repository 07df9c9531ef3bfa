#include <algorithm>
#include <cmath>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/commands/outcome.h"
#include "client/render/live_line.h"
#include "client/render/numbers.h"
#include "client/render/progress.h"
#include "client/render/protocol.h"
#include "client/render/table.h"
#include "client/render/views.h"
#include "tests/core/support/manual_clock.h"

namespace innerloop::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Numbers, AreReadable) {
  EXPECT_EQ(Count(7), "7");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(70000), "70,000");
  EXPECT_EQ(Count(1234567), "1,234,567");
  EXPECT_EQ(LossInterval(0.35124, 0.0041), "0.3512 ± 0.0041");
  EXPECT_EQ(Loss(0), "0.0000");
  EXPECT_EQ(Loss(25368), "2.54e+04");
  EXPECT_EQ(LossInterval(-std::nan(""), 0), "nan");
  EXPECT_EQ(Loss(2.13e-5), "2.13e-05");
  EXPECT_EQ(Percent(0.97531), "97.53");
  EXPECT_EQ(Rate(1053.4), "1,053/s");
  EXPECT_EQ(Rate(0.25), "0.25/s");
  EXPECT_EQ(Span(absl::Seconds(0.44)), "0.4 s");
  EXPECT_EQ(Span(absl::Seconds(12.9)), "12 s");
  EXPECT_EQ(Span(absl::Seconds(200)), "3 min 20 s");
  EXPECT_EQ(Span(absl::Minutes(125)), "2 h 5 min");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(25'340'000), "25.3 MB");
  EXPECT_EQ(Bytes(999'960), "1.0 MB");
}

TEST(Table, AlignsColumnsByWhatIsSeen) {
  Table table({{"step", Table::Align::kRight}, {"loss"}, {"note"}});
  table.Add({"1", "0.5 ± 0.1", "a"});
  table.Add({"10", "0.25", ""});
  EXPECT_EQ(table.Render(),
            "step  loss       note\n"
            "   1  0.5 ± 0.1  a\n"
            "  10  0.25\n");
}

TEST(Fields, LeavesEmptyOnesOut) {
  Fields fields;
  fields.Add("job", "j1");
  fields.Add("waiting for", "");
  fields.Add("state", "RUNNING");
  EXPECT_EQ(fields.Render(), "job    j1\nstate  RUNNING\n");
}

v1::Evaluation Accuracies() {
  v1::Evaluation evaluation;
  evaluation.set_iteration(1500);
  auto* protocol = evaluation.mutable_protocol();
  protocol->set_split(v1::SPLIT_TEST);
  protocol->set_ways(5);
  protocol->set_shots(1);
  protocol->set_queries(1);
  protocol->set_episodes(1000);
  protocol->set_inner_steps(1);
  protocol->set_transduction(v1::TRANSDUCTION_SINGLE_QUERY);
  for (uint32_t step = 0; step < 2; ++step) {
    auto* measure = evaluation.add_steps();
    measure->set_step(step);
    measure->set_loss(1.5 - step);
    measure->set_loss_ci95(0.01);
    measure->set_accuracy(0.2 + 0.75 * step);
    measure->set_accuracy_ci95(0.0041);
  }
  return evaluation;
}

v1::JobSpec WithRotations(v1::EpisodeTasks::Rotations rotations) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_conv4()->set_norm(v1::Conv4Model::NORM_BATCH);
  spec.mutable_tasks()->mutable_episodes()->set_rotations(rotations);
  return spec;
}

TEST(EvaluationView, ShowsPercentInTablesAndFractionsInJson) {
  const v1::JobSpec spec = WithRotations(v1::EpisodeTasks::ROTATIONS_AUGMENT);
  EXPECT_EQ(EvaluationTable(Accuracies(), spec),
            "evaluation of iteration 1,500: test, 5-way 1-shot, 1 query, 1,000 episodes, 1 inner "
            "step, not transductive (each query alone), each class rotated, ± 95 % interval\n"
            "step   accuracy, %             loss\n"
            "   0  20.00 ± 0.41  1.5000 ± 0.0100\n"
            "   1  95.00 ± 0.41  0.5000 ± 0.0100\n");
  const Json json = EvaluationJson(Accuracies(), spec);
  EXPECT_EQ(json["split"], "test");
  EXPECT_EQ(json["ways"], 5);
  EXPECT_EQ(json["shots"], 1);
  EXPECT_EQ(json["queries"], 1);
  EXPECT_EQ(json["episodes"], 1000);
  EXPECT_EQ(json["inner_steps"], 1);
  EXPECT_EQ(json["transductive"], "single");
  EXPECT_EQ(json["rotations"], "augment");
  EXPECT_EQ(json["line_search"], 0);
  EXPECT_EQ(json["protocol"],
            "test, 5-way 1-shot, 1 query, 1,000 episodes, 1 inner step, not transductive (each "
            "query alone), each class rotated");
  EXPECT_EQ(json["iteration"], 1500);
  EXPECT_DOUBLE_EQ(json["steps"][1]["accuracy"], 0.95);
  EXPECT_DOUBLE_EQ(json["steps"][1]["accuracy_ci95"], 0.0041);
}

TEST(EvaluationView, LeavesAccuracyOutForRegression) {
  v1::Evaluation evaluation;
  evaluation.add_steps()->set_loss(0.35);
  const Json json = EvaluationJson(evaluation, {});
  EXPECT_THAT(EvaluationTable(evaluation, {}), Not(HasSubstr("accuracy")));
  EXPECT_FALSE(json["steps"][0].contains("accuracy"));
  EXPECT_FALSE(json.contains("ways"));
  EXPECT_FALSE(json.contains("transductive"));
  EXPECT_FALSE(json.contains("rotations"));
}

TEST(EvaluationView, SaysOfEachProtocolWhatSetsItApart) {
  const v1::JobSpec classes = WithRotations(v1::EpisodeTasks::ROTATIONS_CLASSES);
  v1::Evaluation evaluation = Accuracies();
  auto* protocol = evaluation.mutable_protocol();
  protocol->set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  protocol->set_line_search(6);
  protocol->set_queries(15);
  protocol->set_inner_steps(0);
  EXPECT_EQ(ProtocolText(evaluation, classes),
            "test, 5-way 1-shot, 15 queries, 1,000 episodes, 0 inner steps, not transductive "
            "(support statistics), not rotated, backtracking line search");
  protocol->set_split(v1::SPLIT_TRAIN);
  protocol->set_transduction(v1::TRANSDUCTION_ALL_QUERIES);
  EXPECT_THAT(ProtocolText(evaluation, classes),
              HasSubstr(", transductive, rotations as classes, "));
  v1::JobSpec without_batch_norm = classes;
  without_batch_norm.mutable_model()->mutable_linear();
  EXPECT_THAT(ProtocolText(evaluation, without_batch_norm), Not(HasSubstr("transductive")))
      << "it makes no difference";
}

TEST(EvaluationView, ShowsPublishedFiguresBesideTheirStep) {
  v1::JobSpec spec;
  auto* result = spec.add_published();
  result->set_source("Finn et al. 2017");
  result->set_step(1);
  result->set_accuracy(0.987);
  v1::Evaluation evaluation = Accuracies();
  EXPECT_THAT(EvaluationTable(evaluation, spec), Not(HasSubstr("published")))
      << "the figures belong to the job's own evaluations";
  evaluation.set_final(true);
  const std::string table = EvaluationTable(evaluation, spec);
  EXPECT_THAT(table, HasSubstr("published\n"));
  EXPECT_THAT(table, HasSubstr("   0  20.00 ± 0.41  1.5000 ± 0.0100\n"));
  EXPECT_THAT(table, HasSubstr("0.5000 ± 0.0100  98.70 % (Finn et al. 2017)\n"));
}

TEST(SpecView, CutsLongClassLists) {
  v1::JobSpec spec;
  auto* names = spec.mutable_tasks()->mutable_episodes()->mutable_split()->mutable_names();
  for (int i = 0; i < 1200; ++i) {
    names->add_train("class-" + std::to_string(i));
  }
  const std::string text = SpecText(spec);
  EXPECT_THAT(text, HasSubstr("class-2"));
  EXPECT_THAT(text, HasSubstr("... and 1197 more"));
  EXPECT_THAT(text, Not(HasSubstr("class-3")));
}

TEST(Result, TellsRateOverTheWholeTraining) {
  v1::Job job;
  job.set_id("j1");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_iteration(3000);
  job.set_training_seconds(2);
  job.set_iterations_per_second(7);
  job.mutable_last_checkpoint()->set_path("/state/c.safetensors");
  job.mutable_last_checkpoint()->set_parameters_sha256("abc");
  const Json json = ResultJson(job, {}, EarlierRuns());
  EXPECT_EQ(json["job"], "j1");
  EXPECT_EQ(json["state"], "SUCCEEDED");
  EXPECT_EQ(json["iterations"], 3000);
  EXPECT_EQ(json["seconds"], 2.0);
  EXPECT_EQ(json["iterations_per_second"], 1500.0);
  EXPECT_EQ(json["checkpoint"], "/state/c.safetensors");
  EXPECT_EQ(json["parameters_sha256"], "abc");
  EXPECT_TRUE(json["evaluation"].is_null());
  EXPECT_THAT(ResultText(job, EarlierRuns()), HasSubstr("3,000 in 2.0 s, 1,500/s"));
  v1::Job begun = job;
  begun.set_iteration(2900);
  begun.set_training_seconds(1);
  EXPECT_THAT(ResultText(job, EarlierRuns(begun)),
              HasSubstr("3,000 in 2.0 s, of these 100 now, 100/s"));
  EXPECT_THAT(ResultText(job, EarlierRuns(job)), HasSubstr("3,000 in 2.0 s\n"));
}

TEST(Result, AFailedJobSaysWhyAndWhoseFaultItIs) {
  v1::Job job;
  job.set_id("j1");
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_failure_message("shard 3 killed its worker three times");
  job.set_failure_code(13);
  EXPECT_EQ(OutcomeOf(job),
            absl::InternalError("job j1 failed: shard 3 killed its worker three times"));
  job.set_failure_code(3);
  EXPECT_TRUE(absl::IsInvalidArgument(OutcomeOf(job)));
  job.set_state(v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(absl::IsAborted(OutcomeOf(job)));
}

v1::JobEvents At(uint64_t iteration, double rate = 1000) {
  v1::JobEvents events;
  events.mutable_job()->mutable_spec()->set_iterations(70000);
  events.mutable_job()->set_state(v1::JOB_STATE_RUNNING);
  events.mutable_job()->set_iteration(iteration);
  events.mutable_job()->set_iterations_per_second(rate);
  auto* record = events.add_iterations();
  record->set_iteration(iteration - 1);
  record->set_meta_loss(0.5);
  return events;
}

class ProgressTest : public ::testing::Test {
 protected:
  std::ostringstream out_;
  ManualClock clock_;
};

TEST_F(ProgressTest, TellsIterationRateTimeLeftAndMetaLoss) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  progress.OnEvents(At(14000));
  EXPECT_EQ(progress.Text(),
            "iteration 14,000 of 70,000 (20 %), 1,000/s, 56 s left, meta-loss 0.5000");
}

TEST_F(ProgressTest, MetaLossIsAMeanOfTheLastIterations) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  v1::JobEvents events;
  for (int i = 0; i < 100; ++i) {
    auto* record = events.add_iterations();
    record->set_iteration(i);
    record->set_meta_loss(i < 50 ? 100 : i % 2 == 0 ? 0.25 : 0.75);
    record->set_meta_accuracy(0.9);
    record->set_seconds(0.01 * (i + 1));
  }
  progress.OnEvents(events);
  EXPECT_THAT(progress.Text(), HasSubstr("meta-loss 0.5000, accuracy 90.00 %"));
}

TEST_F(ProgressTest, TheTimeLeftFollowsFromWhatThisRunDid) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  // 1,000 iterations took 900 s before; then 10 took 1 s.
  v1::JobEvents events;
  events.mutable_job()->mutable_spec()->set_iterations(1210);
  for (int i = 0; i <= 10; ++i) {
    auto* record = events.add_iterations();
    record->set_iteration(999 + i);
    record->set_seconds(900 + 0.1 * i);
  }
  progress.OnEvents(events);
  EXPECT_THAT(progress.Text(), HasSubstr("10/s, 20 s left"));
}

TEST_F(ProgressTest, SaysWhatTheJobWaitsForAtOnce) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  progress.OnEvents(At(1));
  v1::JobEvents events = At(2);
  events.mutable_job()->set_waiting_for("no workers are connected");
  progress.OnEvents(events);
  EXPECT_THAT(out_.str(),
              HasSubstr("iteration 2 of 70,000 (0 %), waiting: no workers are connected\n"));
}

TEST_F(ProgressTest, PlainLinesComeEveryFiveSecondsAndEveryTenthOfTheWay) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  progress.OnEvents(At(1));  // the first
  progress.OnEvents(At(100));
  clock_.Advance(absl::Seconds(4));
  progress.OnEvents(At(200));
  clock_.Advance(absl::Seconds(2));
  progress.OnEvents(At(300));  // 5 s passed
  progress.OnEvents(At(6999));
  progress.OnEvents(At(7000));  // 10 %
  progress.OnEvents(At(7001));
  const std::string text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
  EXPECT_THAT(out_.str(), HasSubstr("iteration 300 of"));
  EXPECT_THAT(out_.str(), HasSubstr("iteration 7,000 of"));
}

TEST_F(ProgressTest, ATerminalsLineIsDrawnOverAndCutToItsWidth) {
  {
    LiveLine line({.out = &out_,
                   .terminal = true,
                   .size =
                       [] {
                         return TerminalSize{12, 24};
                       },
                   .clock = &clock_});
    line.Update("iteration 100 of 200");
    clock_.Advance(absl::Milliseconds(50));
    line.Update("too early to be drawn");
    clock_.Advance(absl::Milliseconds(60));
    line.Update("± second");
    line.Print("stays");
  }
  EXPECT_EQ(out_.str(),
            "\r\x1b[Kiteration 1"
            "\r\x1b[K± second"
            "\r\x1b[Kstays\n\r\x1b[K± second"
            "\r\x1b[K");
}

TEST_F(ProgressTest, WhatOthersWroteDoesNotSteerTheTerminal) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  v1::JobEvents events = At(2);
  events.mutable_job()->set_waiting_for("\x1b[1A\rworkers");
  events.mutable_job()->add_warnings("\x1b[2J\nall is well");
  progress.OnEvents(events);
  EXPECT_EQ(out_.str(),
            "warning: ?[2J all is well\n"
            "iteration 2 of 70,000 (0 %), waiting: ?[1A?workers\n");
}

TEST_F(ProgressTest, EvaluationsStayAsLines) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line);
  v1::JobEvents events = At(500);
  *events.add_evaluations() = Accuracies();
  progress.OnEvents(events);
  EXPECT_THAT(out_.str(),
              HasSubstr("evaluation of iteration 1,500: test 95.00 ± 0.41 % after 1 step\n"));
}

TEST_F(ProgressTest, NothingIsWrittenWithoutAPlaceForIt) {
  LiveLine line({});
  Progress progress(line);
  progress.OnEvents(At(500));
  EXPECT_EQ(progress.iteration(), 500);
}

}  // namespace
}  // namespace innerloop::client
