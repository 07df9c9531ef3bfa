#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include "core/meta/objectives/loss.h"
#include "tests/core/meta/adaptation/own_tasks.h"

namespace innerloop::meta {
namespace {

using ::testing::HasSubstr;

void ExpectRefused(const absl::StatusOr<AdaptationOutput>& output, absl::StatusCode code,
                   const std::string& text) {
  EXPECT_EQ(output.status().code(), code) << output.status();
  EXPECT_THAT(std::string(output.status().message()), HasSubstr(text));
}

class Adapt : public ::testing::Test {
 protected:
  void SetUp() override { PrepareComputeThread(); }
};

class AdaptByMethod : public Adapt, public ::testing::WithParamInterface<Method> {};
INSTANTIATE_TEST_SUITE_P(Methods, AdaptByMethod, ::testing::ValuesIn(AllMethods()));

TEST_P(AdaptByMethod, MeasuresWhatAnEvaluationOfTheEpisodeMeasures) {
  const v1::JobSpec spec = JobOf(GetParam());
  const auto program = ProgramOf(spec);
  const FlatBuffer parameters = ParametersOf(*program);
  for (const auto transduction : {v1::TRANSDUCTION_ALL_QUERIES, v1::TRANSDUCTION_SUPPORT_STATISTICS,
                                  v1::TRANSDUCTION_SINGLE_QUERY}) {
    v1::EvaluationShard shard;
    *shard.mutable_protocol() = spec.evaluation().final();
    v1::EvaluationProtocol& protocol = *shard.mutable_protocol();
    protocol.set_inner_steps(std::min(3U, protocol.inner_steps()));
    protocol.set_transduction(transduction);
    shard.set_first_episode(5);
    shard.set_last_episode(6);
    const auto sums = program->RunEvaluation(parameters, shard);
    ASSERT_TRUE(sums.ok()) << sums.status();

    TaskBatch episode = EpisodeOf(spec, protocol, 5);
    const auto output = program->Adapt(parameters, TaskOfEpisode(episode, protocol));
    ASSERT_TRUE(output.ok()) << output.status();
    const Tensor logits = LogitsOf(output->result.predictions()).unsqueeze(0);
    const int last = sums->loss_size() - 1;
    EXPECT_NEAR(TaskLosses(spec.loss(), logits, episode.query).item<double>(), sums->loss(last),
                1e-6 * std::max(1.0, sums->loss(last)));
    if (sums->accuracy_size() > 0) {
      EXPECT_FLOAT_EQ(TaskAccuracies(spec.loss(), logits, episode.query).item<float>(),
                      static_cast<float>(sums->accuracy(last)));
    }
    EXPECT_EQ(output->result.support_losses_size(), last + 1);
  }
}

TEST_P(AdaptByMethod, AQuerysPredictionDependsOnNoOtherQuery) {
  const v1::JobSpec spec = JobOf(GetParam());
  const auto program = ProgramOf(spec);
  const FlatBuffer parameters = ParametersOf(*program);
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  protocol.set_inner_steps(std::min(2U, protocol.inner_steps()));
  protocol.set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  const TaskBatch episode = EpisodeOf(spec, protocol, 1);
  v1::AdaptationTask task = TaskOfEpisode(episode, protocol);
  const Tensor together = LogitsOf(program->Adapt(parameters, task)->result.predictions());
  for (int64_t q = 0; q < episode.query.count(); ++q) {
    *task.mutable_queries() = Floats(episode.query.inputs.narrow(1, q, 1));
    const Tensor alone = LogitsOf(program->Adapt(parameters, task)->result.predictions());
    EXPECT_LT(LargestError(alone[0], together[q]), 1e-5);
  }
}

TEST_P(AdaptByMethod, NeedsNoDataSet) {
  const v1::JobSpec spec = JobOf(GetParam());
  const auto with_data = ProgramOf(spec);
  const FlatBuffer parameters = ParametersOf(*with_data);
  const auto data_set = DataOf(spec);
  const v1::DataSetDescription description =
      data_set == nullptr ? v1::DataSetDescription() : data_set->Describe();
  const auto without =
      Program::CreateWithoutData(spec, data_set == nullptr ? nullptr : &description);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_TRUE((*without)->layout().SameAs(with_data->layout()));
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  protocol.set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  const v1::AdaptationTask task = TaskOfEpisode(EpisodeOf(spec, protocol, 0), protocol);
  const auto output = (*without)->Adapt(parameters, task);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->result.SerializeAsString(),
            with_data->Adapt(parameters, task)->result.SerializeAsString());
  v1::Shard shard;
  shard.set_last_task(1);
  const absl::Status refused = (*without)->RunShard(parameters, shard).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("data set is not here"));
}

// A support set of three classes for a model of five, with 3, 1 and 2 examples.
TEST_F(Adapt, FewerClassesThanWaysUseTheFirstOutputsAlone) {
  const Method method{
      "mlp { hidden: 8 batch_norm: true }",
      "maml { inner_steps: 2 inner_optimizer { momentum { learning_rate: 0.1 } } }"};
  const v1::JobSpec five = JobOf(method, /*ways=*/5);
  const v1::JobSpec three = JobOf(method, /*ways=*/3);
  const auto of_five = ProgramOf(five);
  const auto of_three = ProgramOf(three);
  const FlatBuffer large = ParametersOf(*of_five);
  // The same but for the last layer's other columns.
  FlatBuffer small(of_three->layout().flat_size());
  for (const TensorEntry& to : of_three->layout().tensors()) {
    const TensorEntry& from = *of_five->layout().Find(to.name);
    const int64_t columns = to.shape.back();
    const int64_t columns_before = from.shape.back();
    for (int64_t i = 0; i < to.size; ++i) {
      small.data()[to.offset + i] =
          large.data()[from.offset + i / columns * columns_before + i % columns];
    }
  }
  Examples support;
  support.inputs = torch::rand({1, 6, kImageSize, kImageSize, 2});
  support.targets = torch::tensor({0, 0, 1, 2, 0, 2}, torch::kInt64).unsqueeze(0);
  v1::AdaptationTask task;
  *task.mutable_support() = SupportOf(support);
  *task.mutable_queries() = Floats(torch::rand({1, 4, kImageSize, kImageSize, 2}));
  task.mutable_rule()->set_inner_steps(4);
  task.mutable_rule()->set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  const auto used = of_five->Adapt(large, task);
  ASSERT_TRUE(used.ok()) << used.status();
  const auto expected = of_three->Adapt(small, task);
  ASSERT_TRUE(expected.ok()) << expected.status();
  EXPECT_EQ(used->result.predictions().size(), 3U);
  EXPECT_LT(
      LargestError(LogitsOf(used->result.predictions()), LogitsOf(expected->result.predictions())),
      1e-5);
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    sum += used->result.predictions().values(i);
  }
  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST_F(Adapt, MetricMethodsTellMoreClassesApartThanInTraining) {
  const auto program = ProgramOf(JobOf({"conv4 { filters: 4 }", "prototypical_networks { }"}));
  v1::AdaptationTask task;
  Examples support;
  support.inputs = torch::rand({1, 9, kImageSize, kImageSize, 2});
  support.targets = torch::arange(9).remainder(8).unsqueeze(0);
  *task.mutable_support() = SupportOf(support);
  *task.mutable_queries() = Floats(support.inputs);
  task.mutable_rule()->set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  const auto output = program->Adapt(*program->Initialise(), task);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->result.predictions().size(), 8U);
  // Classes of one example: it is its prototype.
  const Tensor chosen = LogitsOf(output->result.predictions()).argmax(1);
  EXPECT_TRUE(at::equal(chosen.narrow(0, 1, 7), torch::arange(1, 8)));
}

class AdaptRefuses : public Adapt {
 protected:
  AdaptRefuses() {
    spec_ = JobOf({"conv4 { filters: 4 }",
                   "maml { inner_steps: 2 inner_optimizer { sgd { learning_rate: 0.1 } } }"});
    program_ = ProgramOf(spec_);
    parameters_ = *program_->Initialise();
    v1::EvaluationProtocol protocol = spec_.evaluation().final();
    protocol.set_inner_steps(1);
    task_ = TaskOfEpisode(EpisodeOf(spec_, protocol, 0), protocol);
  }
  void Expect(const std::string& text,
              absl::StatusCode code = absl::StatusCode::kInvalidArgument) const {
    ExpectRefused(program_->Adapt(parameters_, task_), code, text);
  }
  v1::JobSpec spec_;
  std::unique_ptr<Program> program_;
  FlatBuffer parameters_;
  v1::AdaptationTask task_;
};

TEST_F(AdaptRefuses, MoreClassesThanTheModelHasWays) {
  task_.mutable_support()->set_labels(0, 3);
  Expect("the support set has 4 classes; the model tells at most 3 apart");
}

TEST_F(AdaptRefuses, AClassWithoutExamples) {
  for (uint32_t& label : *task_.mutable_support()->mutable_labels()) {
    label = label == 1 ? 2 : label;
  }
  Expect("no example of class 1");
}

TEST_F(AdaptRefuses, ExamplesOfAnotherShape) {
  task_.mutable_queries()->set_shape(2, 3);
  Expect("queries.shape is [16, 16, 3]; the model takes [16, 16, 2]");
}

TEST_F(AdaptRefuses, BytesThatAreNoWholeExample) {
  task_.mutable_support()->mutable_inputs()->set_uint8(std::string(513, 'x'));
  Expect("support.inputs hold 513 bytes; they must be one or more examples of 512 bytes");
}

TEST_F(AdaptRefuses, LabelsThatAreNotOneForEachExample) {
  task_.mutable_support()->add_labels(0);
  Expect("the support set has 6 examples, 7 labels and 0 targets");
}

TEST_F(AdaptRefuses, NumbersThatAreNotFinite) {
  std::string& bytes = *task_.mutable_queries()->mutable_float32();
  const float odd = std::numeric_limits<float>::infinity();
  bytes.replace(2048 + 8, 4, reinterpret_cast<const char*>(&odd), 4);
  Expect("queries hold an infinity or a NaN in example 1");
}

TEST_F(AdaptRefuses, ARuleThatIsNotResolved) {
  task_.mutable_rule()->clear_transduction();
  Expect("rule.transduction is missing");
}

TEST_F(AdaptRefuses, LossesThatAreNotFinite) {
  parameters_.data()[0] = std::numeric_limits<float>::quiet_NaN();
  Expect("adaptation diverged: the support loss is nan after 0 inner steps",
         absl::StatusCode::kFailedPrecondition);
}

TEST_F(AdaptRefuses, InnerStepsOfMetricMethods) {
  const auto program = ProgramOf(JobOf({"conv4 { filters: 4 }", "matching_networks { }"}));
  ExpectRefused(program->Adapt(*program->Initialise(), task_), absl::StatusCode::kInvalidArgument,
                "rule.inner_steps is 1; metric methods take none");
}

TEST_F(Adapt, BytesStandForFractions) {
  const auto program = ProgramOf(JobOf({"conv4 { filters: 4 }", "prototypical_networks { }"}));
  const FlatBuffer parameters = *program->Initialise();
  v1::AdaptationTask bytes;
  std::string pixels;
  for (int i = 0; i < 3 * kImageSize * kImageSize * 2; ++i) {
    pixels += static_cast<char>(i * i % 251);
  }
  v1::Examples& inputs = *bytes.mutable_support()->mutable_inputs();
  for (const int64_t length : {kImageSize, kImageSize, int64_t{2}}) {
    inputs.add_shape(length);
  }
  inputs.set_uint8(pixels);
  for (const uint32_t label : {0, 1, 2}) {
    bytes.mutable_support()->add_labels(label);
  }
  *bytes.mutable_queries() = inputs;
  bytes.mutable_rule()->set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  v1::AdaptationTask floats = bytes;
  std::vector<float> fractions;
  for (const char pixel : pixels) {
    fractions.push_back(static_cast<float>(static_cast<uint8_t>(pixel)) / 255.0F);
  }
  for (v1::Examples* examples :
       {floats.mutable_support()->mutable_inputs(), floats.mutable_queries()}) {
    examples->set_float32(fractions.data(), fractions.size() * sizeof(float));
  }
  EXPECT_EQ(program->Adapt(parameters, bytes)->result.SerializeAsString(),
            program->Adapt(parameters, floats)->result.SerializeAsString());
}

// Two features of which the second is a thousand times the first; classes that all groups share.
class AdaptGrouped : public Adapt {
 protected:
  AdaptGrouped() {
    description_.set_name("groups");
    description_.add_example_shape(2);
    description_.set_classes(4);
    description_.set_groups(9);
    description_.set_smallest_group(20);
    description_.set_examples(180);
    v1::JobSpec spec;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "model { mlp { hidden: 8 } } tasks { grouped { dataset: 'groups' shots: 4 "
        "  standardise: true split { counts { train: 5 } } } } "
        "algorithm { maml { inner_steps: 2 } } meta_batch: 2 iterations: 1 ",
        &spec));
    absl::StatusOr<v1::JobSpec> resolved = ResolveJobSpec(spec, &description_);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    spec_ = *std::move(resolved);
    // Classes 1 and 3 alone.
    Examples support;
    support.inputs = torch::tensor({1.F, 1000.F, 3.F, -2000.F, 2.F, 500.F}).view({1, 3, 2});
    support.targets = torch::tensor({1, 3, 1}, torch::kInt64).unsqueeze(0);
    *task_.mutable_support() = SupportOf(support);
    *task_.mutable_queries() = Floats(support.inputs);
    task_.mutable_rule()->set_inner_steps(3);
    task_.mutable_rule()->set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  }
  absl::StatusOr<AdaptationOutput> Run() const {
    auto program = Program::CreateWithoutData(spec_, &description_);
    EXPECT_TRUE(program.ok()) << program.status();
    return (*program)->Adapt(*(*program)->Initialise(), task_);
  }
  v1::DataSetDescription description_;
  v1::JobSpec spec_;
  v1::AdaptationTask task_;
};

TEST_F(AdaptGrouped, FeaturesAreStandardisedByTheSpec) {
  v1::GroupedTasks& tasks = *spec_.mutable_tasks()->mutable_grouped();
  for (const float mean : {1.F, 200.F}) {
    tasks.add_feature_means(mean);
  }
  for (const float scale : {0.5F, 0.001F}) {
    tasks.add_feature_scales(scale);
  }
  const auto output = Run();
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->result.predictions().size(), 4U);

  task_.set_format(v1::ExportRequest::FORMAT_TORCHSCRIPT);
  std::istringstream file(Run()->file);
  torch::jit::Module module = torch::jit::load(file);
  const Tensor raw = torch::tensor({1.F, 1000.F, 3.F, -2000.F, 2.F, 500.F}).view({3, 2});
  EXPECT_LT(LargestError(module.forward({raw}).toTensor(), LogitsOf(output->result.predictions())),
            1e-5);

  // The same task, standardised by hand.
  const Tensor inputs = (raw - torch::tensor({1.F, 200.F})) * torch::tensor({0.5F, 0.001F});
  tasks.set_standardise(false);
  task_.clear_format();
  *task_.mutable_support()->mutable_inputs() = Floats(inputs.unsqueeze(0));
  *task_.mutable_queries() = Floats(inputs.unsqueeze(0));
  tasks.clear_feature_means();
  tasks.clear_feature_scales();
  EXPECT_LT(
      LargestError(LogitsOf(Run()->result.predictions()), LogitsOf(output->result.predictions())),
      1e-6);
}

TEST_F(AdaptGrouped, OldCheckpointsThatDoNotTellMeansAreRefused) {
  ExpectRefused(Run(), absl::StatusCode::kFailedPrecondition, "does not tell their means");
}

}  // namespace
}  // namespace innerloop::meta
