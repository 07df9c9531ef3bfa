#include "core/meta/models/torchscript.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/meta/program.h"
#include "tests/core/meta/models/model_fixtures.h"
#include "tests/core/meta/script_files.h"
#include "tests/core/meta/test_jobs.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::meta {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TaskShape kCurves{.input = {1}, .outputs = 1, .classification = false};
const TaskShape kImages{.input = {8, 8, 2}, .outputs = 3, .classification = true};
constexpr char kAffine[] = "return torch.matmul(x, self.weight) + self.bias";

class TorchScriptTest : public ::testing::Test {
 protected:
  TorchScriptTest() {
    at::set_num_threads(1);
    torch::manual_seed(23);
  }

  absl::StatusOr<std::unique_ptr<ScriptedModel>> Open(const TaskShape& shape = kCurves) const {
    v1::TorchScriptModel spec;
    spec.set_file(file_);
    return ScriptedModel::Create(spec, shape);
  }
  std::string Refusal(const TaskShape& shape = kCurves) const {
    const auto model = Open(shape);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(model.status().message());
  }
  // A module with the native model's parameters, in its order.
  void WriteLike(const Model& native, const std::string& methods) const {
    std::vector<ScriptParameter> parameters;
    for (const ModelParameter& parameter : native.parameters()) {
      std::string name = parameter.name;
      std::replace(name.begin(), name.end(), '.', '_');
      parameters.push_back({name, torch::randn(parameter.shape) * 0.3});
    }
    WriteScript(file_, parameters, methods);
  }
  // Both compute the same meta-gradients, from the same parameters on the same tasks.
  void ExpectMetaGradientOf(const std::string& native, const TaskShape& shape) const {
    const std::string maml =
        "maml { order: ORDER_SECOND inner_steps: 3 inner_optimizer { sgd { learning_rate: 0.1 } } "
        "}";
    const auto expected = MakeAlgorithm(native, maml, shape);
    const auto actual = ScriptedAlgorithm(maml, shape);
    ASSERT_NE(actual, nullptr);
    const TaskBatch tasks =
        RandomTasks(shape, /*tasks=*/5, /*support=*/6, /*queries=*/6, torch::kFloat);
    Tensors theta;
    for (const MetaParameter& parameter : actual->meta_parameters()) {
      ASSERT_EQ(parameter.initialiser.kind, Initialiser::Kind::kGiven);
      theta.push_back(parameter.initialiser.given);
    }
    EXPECT_LT(RelativeError(Flatten(UpdatesOf(*actual, theta, tasks)),
                            Flatten(UpdatesOf(*expected, theta, tasks))),
              1e-5);
  }
  std::unique_ptr<Algorithm> ScriptedAlgorithm(const std::string& maml,
                                               const TaskShape& shape) const {
    v1::JobSpec spec = ResolvedJob(absl::StrCat(
        "model { torchscript { sha256: '", std::string(64, 'a'), "' bytes: 1 } } tasks { ",
        shape.classification ? "episodes { dataset: 'd' ways: 3 shots: 100 "
                               "split { counts { train: 50 } } }"
                             : "sinusoid { }",
        " } algorithm { ", maml, " } meta_batch: 4 iterations: 1"));
    spec.mutable_model()->mutable_torchscript()->set_file(file_);
    auto algorithm = CreateAlgorithm(spec, shape);
    EXPECT_TRUE(algorithm.ok()) << algorithm.status();
    return algorithm.ok() ? *std::move(algorithm) : nullptr;
  }

  const TemporaryFolder folder_;
  const std::string file_ = folder_ / "model.pt";
};

constexpr char kMlp[] =
    "mlp { hidden: [40, 40] activation: ACTIVATION_TANH "
    "initialisation: INITIALISATION_HE_NORMAL }";
constexpr char kMlpScript[] = R"(
def forward(self, x):
  x = torch.tanh(torch.matmul(x, self.hidden1_weight) + self.hidden1_bias)
  x = torch.tanh(torch.matmul(x, self.hidden2_weight) + self.hidden2_bias)
  return torch.matmul(x, self.head_weight) + self.head_bias
)";
// Convolutions as the native model lays its weights out.
constexpr char kConv[] =
    "conv4 { filters: 4 downsampling: DOWNSAMPLING_STRIDE norm: NORM_NONE "
    "head: HEAD_SPATIAL_MEAN initialisation: INITIALISATION_GLOROT_UNIFORM }";
constexpr char kConvScript[] = R"(
def conv(self, x, weight, bias):
  kernel = weight.reshape(3, 3, -1, 4).permute(3, 2, 0, 1)
  return torch.relu(torch.conv2d(x, kernel, None, [2, 2], [1, 1]) + bias.reshape(1, -1, 1, 1))
def forward(self, x):
  x = self.conv(x, self.conv1_weight, self.conv1_bias)
  x = self.conv(x, self.conv2_weight, self.conv2_bias)
  x = self.conv(x, self.conv3_weight, self.conv3_bias)
  x = self.conv(x, self.conv4_weight, self.conv4_bias)
  return torch.matmul(x.mean([2, 3]), self.head_weight) + self.head_bias
)";

TEST_F(TorchScriptTest, APerceptronHasTheNativeOnesMetaGradientForAllTasksAtOnce) {
  WriteLike(*MakeModel(kMlp, kCurves), kMlpScript);
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT((*model)->why_one_at_a_time(), IsEmpty());
  ExpectMetaGradientOf(kMlp, kCurves);
}

TEST_F(TorchScriptTest, AConvolutionalNetHasTheNativeOnesMetaGradientForAllTasksAtOnce) {
  WriteLike(*MakeModel(kConv, kImages), kConvScript);
  const auto model = Open(kImages);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT((*model)->why_one_at_a_time(), IsEmpty());
  ExpectMetaGradientOf(kConv, kImages);
}

TEST_F(TorchScriptTest, BothWaysAgreeInOutputsAndGradients) {
  WriteLike(*MakeModel(kMlp, kCurves), kMlpScript);
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  Tensors parameters = RandomParameters(**model, /*tasks=*/4, at::kFloat);
  for (Tensor& parameter : parameters) {
    parameter.requires_grad_();
  }
  const Tensor inputs = torch::randn({4, 7, 1});
  const Tensor all = (*model)->AllTasksAtOnce(parameters, inputs);
  const Tensor one = (*model)->OneTaskAtATime(parameters, inputs);
  EXPECT_LT(RelativeError(all, one), 1e-5);
  EXPECT_LT(RelativeError(Flatten(torch::autograd::grad({all.square().sum()}, parameters)),
                          Flatten(torch::autograd::grad({one.square().sum()}, parameters))),
            1e-5);
}

TEST_F(TorchScriptTest, WhatVmapCannotDoIsDoneOneTaskAtATime) {
  // A branch on a value.
  WriteAffineScript(file_, 1, 1,
                    "y = torch.matmul(x, self.weight) + self.bias\n"
                    "  if bool((y.sum() > 1e9).item()):\n    y = y * 2\n  return y");
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT((*model)->why_one_at_a_time(), HasSubstr("item"));
  const Tensors parameters = RandomParameters(**model, /*tasks=*/3, at::kFloat);
  const Tensor inputs = torch::randn({3, 5, 1});
  const Tensor expected = torch::matmul(inputs, parameters[0]) + parameters[1].unsqueeze(1);
  EXPECT_LT(RelativeError((*model)->Forward(parameters, inputs, {}), expected), 1e-6);
}

TEST_F(TorchScriptTest, ThreadsComputeAtTheSameTimeWhatOneComputes) {
  WriteLike(*MakeModel(kMlp, kCurves), kMlpScript);
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  const Tensors parameters = RandomParameters(**model, /*tasks=*/4, at::kFloat);
  const Tensor inputs = torch::randn({4, 7, 1});
  const Tensor expected = (*model)->Forward(parameters, inputs, {});
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int run = 0; run < 30; ++run) {
        EXPECT_TRUE(at::equal((*model)->Forward(parameters, inputs, {}), expected));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(TorchScriptTest, NamesAndFirstValuesAreTheFiles) {
  torch::jit::Module layer("Layer");
  const Tensor weight = torch::randn({1, 1});
  layer.register_parameter("weight", weight, false);
  layer.define("def forward(self, x):\n  return torch.matmul(x, self.weight)\n");
  torch::jit::Module module("Model");
  module.register_module("first", layer);
  module.define("def forward(self, x):\n  return self.first.forward(x)\n");
  module.save(file_);
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ((*model)->parameters().size(), 1);
  const ModelParameter& parameter = (*model)->parameters()[0];
  EXPECT_EQ(parameter.name, "first.weight");
  EXPECT_TRUE(at::equal(DrawInitial(parameter.initialiser, parameter.shape, 1, 0), weight));
}

TEST_F(TorchScriptTest, OutputsAreTheFeaturesOfAMetricMethod) {
  WriteAffineScript(file_, 1, 6, kAffine);
  const auto model = Open({.input = {1}, .outputs = 0, .classification = true});
  ASSERT_TRUE(model.ok()) << model.status();
  const Tensors parameters = RandomParameters(**model, /*tasks=*/2, at::kFloat);
  const Tensor inputs = torch::randn({2, 5, 1});
  EXPECT_EQ((*model)->Features(parameters, inputs, {}).size(2), 6);
}

TEST_F(TorchScriptTest, StatisticsOfTheSupportSetAloneAreRefusedWhereExamplesMix) {
  WriteAffineScript(file_, 1, 1, "return torch.matmul(x - x.mean(0), self.weight) + self.bias");
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  const Tensors parameters = RandomParameters(**model, /*tasks=*/2, at::kFloat);
  try {
    (*model)->Forward(parameters, torch::randn({2, 5, 1}), {.statistics_rows = 3});
    ADD_FAILURE() << "it computed something";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("take TRANSDUCTION_ALL_QUERIES"));
  }
}

TEST_F(TorchScriptTest, ConvolutionsWithBiasAndBatchNormRunForAllTasksAtOnce) {
  WriteScript(file_,
              {{"weight", torch::randn({4, 2, 3, 3})},
               {"bias", torch::randn({4})},
               {"scale", torch::ones({4})},
               {"shift", torch::zeros({4})},
               {"head", torch::randn({64, 3})}},
              R"(
def forward(self, x):
  x = torch.conv2d(x, self.weight, self.bias, [2, 2], [1, 1])
  x = torch.batch_norm(x, self.scale, self.shift, None, None, True, 0.1, 1e-5, False)
  return torch.matmul(torch.relu(x).flatten(1), self.head)
)");
  const auto model = Open(kImages);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT((*model)->why_one_at_a_time(), IsEmpty());
}

TEST_F(TorchScriptTest, RefusesWhatIsNoTorchScriptFile) {
  WriteFile(file_, "PK not really");
  EXPECT_THAT(Refusal(),
              HasSubstr("the file is damaged, or is not one that torch.jit.script(module).save("));
  EXPECT_THAT(Refusal(), ::testing::Not(HasSubstr("\n")));
}

// As batch norm makes it: an example's outputs depend on the others.
TEST_F(TorchScriptTest, RefusesBeforeTrainingWhatModulesThatMixExamplesCannotDo) {
  constexpr char kMixing[] = "return torch.matmul(x - x.mean(0), self.weight) + self.bias";
  WriteAffineScript(file_, 1, 1, kMixing);
  const auto refusal = [this](const std::string& protocol) {
    v1::JobSpec spec = ResolvedJob(
        absl::StrCat("model { torchscript { sha256: '", std::string(64, 'a'),
                     "' bytes: 1 } } tasks { sinusoid { } } algorithm { maml { inner_steps: 1 } } "
                     "meta_batch: 4 iterations: 1 evaluation { ",
                     protocol, " }"));
    spec.mutable_model()->mutable_torchscript()->set_file(file_);
    const absl::Status status = Program::Create(spec, nullptr).status();
    EXPECT_EQ(status.ok() ? absl::StatusCode::kInvalidArgument : status.code(),
              absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(refusal(""), "");
  EXPECT_THAT(refusal("final { transduction: TRANSDUCTION_SUPPORT_STATISTICS }"),
              HasSubstr("evaluation.final.transduction is TRANSDUCTION_SUPPORT_STATISTICS, which "
                        "is not possible with this model.torchscript"));
  EXPECT_THAT(refusal("every: 1 periodic { transduction: TRANSDUCTION_SUPPORT_STATISTICS }"),
              HasSubstr("evaluation.periodic.transduction is"));
  EXPECT_EQ(refusal("periodic { transduction: TRANSDUCTION_SUPPORT_STATISTICS }"), "")
      << "there are no periodic evaluations";

  WriteAffineScript(file_, 4, 6, kMixing);
  v1::JobSpec metric;
  metric.mutable_model()->mutable_torchscript()->set_file(file_);
  metric.mutable_algorithm()->mutable_prototypical_networks();
  const absl::Status status =
      CreateAlgorithm(metric, {.input = {4}, .outputs = 3, .classification = true}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("take a module with layer or group norm"));
}

TEST_F(TorchScriptTest, RefusesPaddedGroupsWhereExamplesMix) {
  WriteAffineScript(file_, 1, 1, "return torch.matmul(x - x.mean(0), self.weight) + self.bias");
  DatasetContent content;
  content.name = "groups";
  content.example_shape = {1};
  content.group_names = {"a", "b"};
  content.target_size = 1;
  for (int i = 0; i < 8; ++i) {
    content.features.push_back(static_cast<float>(i));
    content.targets.push_back(1);
    content.groups.push_back(i / 4);
  }
  ASSERT_TRUE(WriteDataset(content, folder_ / "groups").ok());
  const auto dataset = Dataset::Open(folder_ / "groups");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const auto refusal = [&](const std::string& small_groups) {
    v1::JobSpec spec = ResolvedJob(absl::StrCat(
        "model { torchscript { sha256: '", std::string(64, 'a'),
        "' bytes: 1 } } tasks { grouped { dataset: 'groups' shots: 2 small_groups: ", small_groups,
        " split { counts { train: 2 } } } } loss { kind: KIND_MSE } algorithm { maml { "
        "inner_steps: 1 } } meta_batch: 4 iterations: 1 evaluation { skip_final: true }"));
    spec.mutable_model()->mutable_torchscript()->set_file(file_);
    return std::string(Program::Create(spec, *dataset).status().message());
  };
  EXPECT_EQ(refusal("SMALL_GROUPS_SKIP"), "");
  EXPECT_THAT(refusal("SMALL_GROUPS_PAD"),
              HasSubstr("tasks.grouped.small_groups is SMALL_GROUPS_PAD, whose empty places this "
                        "model.torchscript would count"));
}

TEST_F(TorchScriptTest, RefusesAnotherShapeOfOutputsWithBothShapes) {
  WriteAffineScript(file_, 1, 4, kAffine);
  EXPECT_THAT(Refusal(), HasSubstr("forward returns [3, 4] for inputs of shape [3, 1]; the tasks "
                                   "ask for [3, 1]"));
}

TEST_F(TorchScriptTest, RefusesAForwardThatRaisesWithItsMessage) {
  WriteAffineScript(file_, 7, 1, kAffine);
  EXPECT_THAT(Refusal(), HasSubstr("mat1 and mat2 shapes cannot be multiplied (3x1 and 7x1)"));
  EXPECT_THAT(Refusal(), ::testing::Not(HasSubstr("\n")));
}

TEST_F(TorchScriptTest, RefusesAModuleWithoutParameters) {
  WriteScript(file_, {}, "def forward(self, x):\n  return x\n");
  EXPECT_THAT(Refusal(), HasSubstr("has no parameters to adapt"));
}

TEST_F(TorchScriptTest, RefusesParametersThatAreNotFloat32) {
  WriteScript(file_, {{"weight", torch::randn({1, 1}, torch::kDouble)}},
              "def forward(self, x):\n  return torch.matmul(x, self.weight.float())\n");
  EXPECT_THAT(Refusal(), HasSubstr("the parameter 'weight' holds Double; Float (float32)"));
}

TEST_F(TorchScriptTest, RefusesBatchNormWithRunningStatistics) {
  torch::jit::Module norm("Norm");
  norm.register_buffer("running_mean", torch::zeros({1}));
  torch::jit::Module module("Model");
  module.register_parameter("weight", torch::randn({1, 1}), false);
  module.register_module("norm", norm);
  module.define("def forward(self, x):\n  return torch.matmul(x, self.weight)\n");
  module.save(file_);
  EXPECT_THAT(Refusal(), HasSubstr("'norm.running_mean' is a running statistic"));
  EXPECT_THAT(Refusal(), HasSubstr("track_running_stats=False"));
}

TEST_F(TorchScriptTest, RefusesAForwardThatChangesItsBuffers) {
  torch::jit::Module module("Model");
  module.register_parameter("weight", torch::randn({1, 1}), false);
  module.register_buffer("calls", torch::zeros({1}));
  module.define(
      "def forward(self, x):\n  self.calls.add_(1)\n  return torch.matmul(x, self.weight)\n");
  module.save(file_);
  EXPECT_THAT(Refusal(), HasSubstr("changes the buffer 'calls'"));
}

TEST_F(TorchScriptTest, RefusesAForwardWithRandomNumbers) {
  WriteAffineScript(file_, 1, 1,
                    "return torch.matmul(x, self.weight) + self.bias + torch.rand_like(x)");
  EXPECT_THAT(Refusal(), HasSubstr("without random numbers"));
}

TEST_F(TorchScriptTest, RefusesOutputsThatDoNotDependOnTheParameters) {
  WriteAffineScript(file_, 1, 1, "return x * 2.0");
  EXPECT_THAT(Refusal(), HasSubstr("cannot be differentiated"));
}

}  // namespace
}  // namespace innerloop::meta
