#include "core/meta/models/model.h"

#include <limits>
#include <thread>

#include "core/meta/program.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/meta/models/model_fixtures.h"

namespace innerloop::meta {
namespace {

const TaskShape kImages{{20, 17, 1}, 5, true};

std::vector<std::string> AllModels() {
  return {
      "linear { initialisation: INITIALISATION_HE_NORMAL }",
      "mlp { hidden: 9 hidden: 6 activation: ACTIVATION_GELU batch_norm: true "
      "initialisation: INITIALISATION_HE_NORMAL }",
      "mlp { hidden: 9 hidden: 6 activation: ACTIVATION_LEAKY_RELU batch_norm: true "
      "initialisation: INITIALISATION_HE_NORMAL }",
      "conv4 { filters: 18 downsampling: DOWNSAMPLING_STRIDE norm: NORM_BATCH "
      "head: HEAD_SPATIAL_MEAN initialisation: INITIALISATION_GLOROT_UNIFORM }",
      "conv4 { filters: 4 downsampling: DOWNSAMPLING_MAX_POOL norm: NORM_BATCH "
      "head: HEAD_FLATTEN initialisation: INITIALISATION_GLOROT_UNIFORM }",
      "conv4 { filters: 4 downsampling: DOWNSAMPLING_MAX_POOL norm: NORM_LAYER "
      "head: HEAD_FLATTEN initialisation: INITIALISATION_GLOROT_UNIFORM }",
  };
}

TEST(ModelTest, OutputsOfATaskDependOnThatTaskAlone) {
  torch::manual_seed(1);
  for (const std::string& text : AllModels()) {
    const auto model = MakeModel(text, kImages);
    Tensors parameters = RandomParameters(*model, /*tasks=*/3, at::kFloat);
    const Tensor inputs = at::rand({3, 6, 20, 17, 1});
    const Tensor before = model->Forward(parameters, inputs, {});
    for (Tensor& parameter : parameters) {
      parameter[1].fill_(std::numeric_limits<float>::quiet_NaN());
    }
    inputs[1].fill_(std::numeric_limits<float>::infinity());
    const Tensor after = model->Forward(parameters, inputs, {});
    EXPECT_TRUE(at::equal(before[0], after[0])) << text;
    EXPECT_TRUE(at::equal(before[2], after[2])) << text;
    EXPECT_FALSE(at::equal(before[1], after[1])) << text;
  }
}

TEST(ModelTest, QueriesDoNotInfluenceEachOtherWhenTheSupportSetGivesTheStatistics) {
  torch::manual_seed(2);
  for (const std::string& text : AllModels()) {
    const auto model = MakeModel(text, kImages);
    const Tensors parameters = RandomParameters(*model, /*tasks=*/2, at::kFloat);
    const Tensor inputs = at::rand({2, 7, 20, 17, 1});
    const ForwardOptions options{.statistics_rows = 4};
    const Tensor before = model->Forward(parameters, inputs, options);
    inputs.select(1, 5).fill_(1);
    const Tensor after = model->Forward(parameters, inputs, options);
    EXPECT_TRUE(at::equal(before.narrow(1, 0, 5), after.narrow(1, 0, 5))) << text;
    EXPECT_TRUE(at::equal(before.select(1, 6), after.select(1, 6))) << text;
    EXPECT_FALSE(at::equal(before.select(1, 5), after.select(1, 5))) << text;
    // The support set comes out as if it were alone.
    EXPECT_TRUE(at::allclose(after.narrow(1, 0, 4),
                             model->Forward(parameters, inputs.narrow(1, 0, 4), {}), 1e-4, 1e-4))
        << text;
  }
}

// Outputs, gradient and a second-order product.
Tensors Compute(const Model& model, const Tensors& values, const Tensor& inputs) {
  Tensors parameters;
  for (const Tensor& value : values) {
    parameters.push_back(value.detach().clone().requires_grad_());
  }
  const Tensor outputs = model.Forward(parameters, inputs, {});
  Tensors results =
      torch::autograd::grad({outputs.square().sum()}, parameters, {}, true, /*create_graph=*/true);
  Tensor squares = at::zeros({});
  for (const Tensor& gradient : results) {
    squares = squares + gradient.square().sum();
  }
  const Tensors second = torch::autograd::grad({squares}, parameters);
  results.insert(results.end(), second.begin(), second.end());
  results.push_back(outputs);
  return results;
}

TEST(ModelTest, GivesTheSameBitsAgainAndFromTwoThreads) {
  PrepareComputeThread();
  torch::manual_seed(3);
  for (const std::string& text : AllModels()) {
    const auto model = MakeModel(text, kImages);
    const Tensors parameters = RandomParameters(*model, /*tasks=*/3, at::kFloat);
    const Tensor inputs = at::rand({3, 6, 20, 17, 1});
    const Tensors expected = Compute(*model, parameters, inputs);
    Tensors results[2];
    std::thread threads[2];
    for (int i = 0; i < 2; ++i) {
      threads[i] = std::thread([&, i] {
        PrepareComputeThread();
        results[i] = Compute(*model, parameters, inputs);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const Tensors& result : results) {
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(at::equal(result[i], expected[i])) << text << ", tensor " << i;
      }
    }
  }
}

TEST(ModelTest, RefusesOutputsThatTheTasksDoNotAskFor) {
  const auto model =
      TryModel("linear { initialisation: INITIALISATION_HE_NORMAL } outputs: 6", kImages);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(model.status().message()),
              testing::AllOf(testing::HasSubstr("model.outputs is 6"), testing::HasSubstr("5")));
}

TEST(ModelTest, RefusesASpecificationWithoutModel) {
  EXPECT_THAT(std::string(TryModel("", kImages).status().message()),
              testing::HasSubstr("model is not set"));
}

}  // namespace
}  // namespace innerloop::meta
