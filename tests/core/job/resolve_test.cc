#include <cmath>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

v1::JobSpec Sinusoid() {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_mlp()->add_hidden(40);
  spec.mutable_tasks()->mutable_sinusoid();
  spec.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
  spec.set_meta_batch(25);
  spec.set_iterations(100);
  return spec;
}

v1::DataSetDescription Digits() {
  v1::DataSetDescription digits;
  digits.set_name("digits");
  digits.set_sha256(std::string(64, '1'));
  digits.set_classes(10);
  digits.set_examples(230);
  digits.set_smallest_class(20);
  digits.add_example_shape(28);
  digits.add_example_shape(28);
  digits.add_example_shape(1);
  return digits;
}

v1::JobSpec Episodes() {
  v1::JobSpec spec = Sinusoid();
  v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
  tasks.set_dataset("digits");
  tasks.set_ways(5);
  tasks.set_shots(1);
  tasks.mutable_split()->mutable_counts()->set_train(5);
  return spec;
}

TEST(ResolveJobSpec, FillsInTheDefaultsThatTheProtoDocuments) {
  const auto resolved = ResolveJobSpec(Sinusoid(), nullptr);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->name(), "maml-sinusoid");
  EXPECT_EQ(resolved->tasks().sinusoid().shots(), 10);
  EXPECT_EQ(resolved->tasks().sinusoid().queries(), 10);
  EXPECT_EQ(resolved->tasks().sinusoid().amplitude().high(), 5);
  EXPECT_EQ(resolved->loss().kind(), v1::LossSpec::KIND_MSE);
  EXPECT_EQ(resolved->tasks_per_shard(), 13);
  EXPECT_EQ(resolved->tasks_per_chunk(), 13);
  EXPECT_EQ(resolved->outer_optimizer().learning_rate(), 0.001);
  EXPECT_EQ(resolved->outer_optimizer().adam().beta2(), 0.999);
  EXPECT_EQ(resolved->algorithm().maml().inner_optimizer().sgd().learning_rate(), 0.01);
  EXPECT_EQ(resolved->evaluation().final().split(), v1::SPLIT_TEST);
  EXPECT_EQ(resolved->evaluation().final().inner_steps(), 10);
  EXPECT_EQ(resolved->compute().engine(), v1::ComputeSpec::ENGINE_FUSED);
  EXPECT_EQ(resolved->weight(), 1);
}

TEST(ResolveJobSpec, ResolvingTwiceChangesNothing) {
  const v1::DataSetDescription digits = Digits();
  for (const v1::DataSetDescription* data_set :
       {static_cast<const v1::DataSetDescription*>(nullptr), &digits}) {
    const auto once = ResolveJobSpec(data_set == nullptr ? Sinusoid() : Episodes(), data_set);
    ASSERT_TRUE(once.ok()) << once.status();
    const auto twice = ResolveJobSpec(*once, data_set);
    ASSERT_TRUE(twice.ok()) << twice.status();
    EXPECT_TRUE(MessageDifferencer::Equals(*once, *twice));
  }
}

TEST(ResolveJobSpec, ADataSetBindsTheJobToItsHash) {
  const v1::DataSetDescription digits = Digits();
  const auto resolved = ResolveJobSpec(Episodes(), &digits);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->tasks().episodes().dataset_sha256(), digits.sha256());
}

TEST(ResolveJobSpec, TheFusedEngineIsOnlyForWhatItKnows) {
  v1::JobSpec spec = Sinusoid();
  spec.mutable_model()->mutable_mlp()->set_batch_norm(true);
  EXPECT_EQ(ResolveJobSpec(spec, nullptr)->compute().engine(), v1::ComputeSpec::ENGINE_AUTOGRAD);
  spec = Sinusoid();
  spec.mutable_model()->mutable_mlp()->set_hidden(0, 300);
  EXPECT_EQ(ResolveJobSpec(spec, nullptr)->compute().engine(), v1::ComputeSpec::ENGINE_AUTOGRAD);
}

struct BadSpec {
  const char* name;
  std::function<void(v1::JobSpec&)> break_it;
  const char* message;
  bool episodes = false;
};

class BadSpecs : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadSpecs, AreRefusedNamingTheFieldAndTheRemedy) {
  const v1::DataSetDescription digits = Digits();
  v1::JobSpec spec = GetParam().episodes ? Episodes() : Sinusoid();
  ASSERT_TRUE(ResolveJobSpec(spec, GetParam().episodes ? &digits : nullptr).ok());
  GetParam().break_it(spec);
  const auto resolved = ResolveJobSpec(spec, GetParam().episodes ? &digits : nullptr);
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(resolved.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    ResolveJobSpec, BadSpecs,
    ::testing::Values(
        BadSpec{"NoModel", [](auto& s) { s.clear_model(); },
                "model is missing; choose linear, mlp, conv4 or torchscript"},
        BadSpec{"NoModelFile", [](auto& s) { s.mutable_model()->mutable_torchscript(); },
                "model.torchscript.file is missing"},
        BadSpec{"AModelFileThatNoClientRead",
                [](auto& s) { s.mutable_model()->mutable_torchscript()->set_file("net.pt"); },
                "a client fills them in"},
        BadSpec{"NoTasks", [](auto& s) { s.clear_tasks(); }, "tasks is missing"},
        BadSpec{"NoAlgorithm", [](auto& s) { s.clear_algorithm(); }, "algorithm is missing"},
        BadSpec{"NoIterations", [](auto& s) { s.set_iterations(0); }, "iterations is missing or 0"},
        BadSpec{"NoMetaBatch", [](auto& s) { s.set_meta_batch(0); }, "meta_batch is missing or 0"},
        BadSpec{"ShardsLargerThanTheMetaBatch", [](auto& s) { s.set_tasks_per_shard(26); },
                "tasks_per_shard is 26 and meta_batch 25; tasks_per_shard must be 1 to 25, or "
                "meta_batch 26 or more"},
        BadSpec{"ZeroTasksPerShard", [](auto& s) { s.set_tasks_per_shard(0); },
                "tasks_per_shard is 0 and meta_batch 25; tasks_per_shard must be 1 to 25"},
        BadSpec{"ZeroShots", [](auto& s) { s.mutable_tasks()->mutable_sinusoid()->set_shots(0); },
                "tasks.sinusoid.shots is 0; it must be 1 to 100000"},
        BadSpec{"NegativeRate", [](auto& s) { s.mutable_outer_optimizer()->set_learning_rate(-1); },
                "outer_optimizer.learning_rate is -1; it must be above 0"},
        BadSpec{"NegativeInnerRate",
                [](auto& s) {
                  s.mutable_algorithm()
                      ->mutable_maml()
                      ->mutable_inner_optimizer()
                      ->mutable_sgd()
                      ->set_learning_rate(-0.1);
                },
                "algorithm.maml.inner_optimizer.sgd.learning_rate is -0.1"},
        BadSpec{"HvpWithAdam",
                [](auto& s) {
                  s.mutable_algorithm()->mutable_maml()->set_order(v1::Maml::ORDER_HVP);
                  s.mutable_algorithm()->mutable_maml()->mutable_inner_optimizer()->mutable_adam();
                },
                "ORDER_HVP, which needs inner_optimizer.sgd"},
        BadSpec{"ConvolutionOnPoints", [](auto& s) { s.mutable_model()->mutable_conv4(); },
                "model.conv4 needs images"},
        BadSpec{"WrongOutputs", [](auto& s) { s.mutable_model()->set_outputs(3); },
                "model.outputs is 3; the tasks ask for 1"},
        BadSpec{"EntropyOfNumbers",
                [](auto& s) { s.mutable_loss()->set_kind(v1::LossSpec::KIND_CROSS_ENTROPY); },
                "numeric targets want KIND_MSE"},
        BadSpec{"DeltaWithoutHuber", [](auto& s) { s.mutable_loss()->set_huber_delta(1); },
                "loss.huber_delta is for KIND_HUBER alone"},
        BadSpec{"ReversedRange",
                [](auto& s) { s.mutable_tasks()->mutable_sinusoid()->mutable_phase()->set_low(2); },
                "tasks.sinusoid.phase is [2, 0]; low must not be above high"},
        BadSpec{"StepScheduleWithoutLength",
                [](auto& s) { s.mutable_outer_optimizer()->mutable_schedule()->mutable_step(); },
                "outer_optimizer.schedule.step.every is missing"},
        BadSpec{"FusedBatchNorm",
                [](auto& s) {
                  s.mutable_model()->mutable_mlp()->set_batch_norm(true);
                  s.mutable_compute()->set_engine(v1::ComputeSpec::ENGINE_FUSED);
                },
                "does not know model.mlp.batch_norm"},
        BadSpec{"BatchNormOverOneTrainingExample",
                [](auto& s) {
                  s.mutable_model()->mutable_mlp()->set_batch_norm(true);
                  s.mutable_tasks()->mutable_sinusoid()->set_shots(1);
                  s.mutable_evaluation()->mutable_final()->set_shots(5);
                },
                "tasks.sinusoid.shots is 1 in a task of one class: batch norm needs two examples"},
        BadSpec{"BatchNormOverOneExampleOfReptile",
                [](auto& s) {
                  s.mutable_model()->mutable_mlp()->set_batch_norm(true);
                  s.mutable_algorithm()->mutable_reptile()->set_inner_steps(1);
                  s.mutable_algorithm()->mutable_reptile()->set_train_shots(1);
                },
                "algorithm.reptile.train_shots is 1 in a task of one class"},
        BadSpec{"BatchNormOverOneExampleOfAnEvaluation",
                [](auto& s) {
                  s.mutable_model()->mutable_mlp()->set_batch_norm(true);
                  s.mutable_evaluation()->mutable_final()->set_shots(1);
                },
                "evaluation.final.shots is 1 in a task of one class"},
        BadSpec{"APublishedPercentage", [](auto& s) { s.add_published()->set_accuracy(98.7); },
                "published[0].accuracy is 98.7, which is no fraction of 0 to 1; 0.987 would be"},
        BadSpec{"APublishedNumberThatIsNone",
                [](auto& s) {
                  s.add_published()->set_accuracy(1);
                  s.add_published()->set_loss(std::nan(""));
                },
                "published[1].loss is nan; it must be a finite number"},
        BadSpec{"ALongSource",
                [](auto& s) { s.add_published()->set_source(std::string(201, 'x')); },
                "published[0].source has 201 characters; at most 200 can be"},
        BadSpec{"MoreWaysThanClasses",
                [](auto& s) { s.mutable_tasks()->mutable_episodes()->set_ways(30); },
                "tasks.episodes.ways is 30; the data set 'digits' has 10 classes", true},
        BadSpec{"MoreWaysThanRotatedClasses",
                [](auto& s) {
                  v1::EpisodeTasks& tasks = *s.mutable_tasks()->mutable_episodes();
                  tasks.set_rotations(v1::EpisodeTasks::ROTATIONS_CLASSES);
                  tasks.set_ways(41);
                },
                "tasks.episodes.ways is 41; the data set 'digits' has 10 classes, 4 times as many "
                "with their rotations",
                true},
        BadSpec{"MoreExamplesThanAnyClassHas",
                [](auto& s) { s.mutable_tasks()->mutable_episodes()->set_shots(50); },
                "training takes 50 shots and 1 query per class; no class of 'digits' has more than "
                "50 examples",
                true},
        BadSpec{
            "SplitLargerThanTheDataSet",
            [](auto& s) {
              s.mutable_tasks()->mutable_episodes()->mutable_split()->mutable_counts()->set_test(7);
            },
            "split.counts adds up to 12 classes; 'digits' has 10", true},
        BadSpec{"AnotherHash",
                [](auto& s) {
                  s.mutable_tasks()->mutable_episodes()->set_dataset_sha256(std::string(64, '2'));
                },
                "tasks.episodes.dataset_sha256 is 222222222222", true},
        BadSpec{"EvaluationWithOtherWays",
                [](auto& s) { s.mutable_evaluation()->mutable_final()->set_ways(4); },
                "evaluation.final.ways is 4; the model has 5 outputs", true}),
    [](const auto& info) { return std::string(info.param.name); });

// Of 10 classes one may have 50 examples; the others have 20.
TEST(ResolveJobSpec, WhatOnlyTheDataTellIsLeftToTheData) {
  const v1::DataSetDescription digits = Digits();
  v1::JobSpec spec = Episodes();
  v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
  tasks.set_shots(49);
  EXPECT_EQ(ResolveJobSpec(spec, &digits).status(), absl::OkStatus());
  tasks.set_shots(1);
  tasks.set_ways(40);
  tasks.set_rotations(v1::EpisodeTasks::ROTATIONS_CLASSES);
  EXPECT_EQ(ResolveJobSpec(spec, &digits).status(), absl::OkStatus());
}

TEST(ResolveRandomMap, FillsInItsDefaultsAndSaysWhatIsOutOfRange) {
  v1::JobSpec spec = Sinusoid();
  spec.mutable_tasks()->mutable_random_map()->set_shots(7);
  const auto resolved = ResolveJobSpec(spec, nullptr);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->tasks().random_map().inputs(), 10);
  EXPECT_EQ(resolved->tasks().random_map().outputs(), 5);
  EXPECT_EQ(resolved->tasks().random_map().queries(), 7);
  EXPECT_EQ(resolved->tasks().random_map().shared(), 0.5);
  EXPECT_EQ(resolved->loss().kind(), v1::LossSpec::KIND_MSE);
  EXPECT_EQ(resolved->evaluation().final().shots(), 7);

  v1::JobSpec shared = spec;
  shared.mutable_tasks()->mutable_random_map()->set_shared(1.5);
  EXPECT_THAT(std::string(ResolveJobSpec(shared, nullptr).status().message()),
              HasSubstr("tasks.random_map.shared is 1.5"));
  v1::JobSpec noise = spec;
  noise.mutable_tasks()->mutable_random_map()->set_noise(-1);
  EXPECT_THAT(std::string(ResolveJobSpec(noise, nullptr).status().message()),
              HasSubstr("tasks.random_map.noise is -1"));
  v1::JobSpec large = spec;
  large.mutable_tasks()->mutable_random_map()->set_inputs(10'000);
  large.mutable_tasks()->mutable_random_map()->set_outputs(10'000);
  EXPECT_THAT(std::string(ResolveJobSpec(large, nullptr).status().message()),
              HasSubstr("at most 10000000 entries"));
}

TEST(ResolveJobSpec, NothingIsChosenByTheTestSplit) {
  v1::JobSpec spec = Sinusoid();
  spec.mutable_evaluation()->mutable_periodic()->set_split(v1::SPLIT_TEST);
  EXPECT_TRUE(ResolveJobSpec(spec, nullptr).ok()) << "without periodic evaluations it does nothing";
  spec.mutable_evaluation()->set_every(10);
  const auto resolved = ResolveJobSpec(spec, nullptr);
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(resolved.status().message()),
              HasSubstr("evaluation.periodic.split is SPLIT_TEST"));
}

}  // namespace
}  // namespace innerloop
