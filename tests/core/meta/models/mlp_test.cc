#include "core/meta/models/mlp.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"
#include "tests/core/meta/models/model_fixtures.h"

namespace innerloop::meta {
namespace {

const TaskShape kImages{{2, 3, 1}, 4, true};
constexpr char kActivations[][12] = {"RELU", "TANH", "GELU", "LEAKY_RELU"};

std::string Text(const std::string& activation, bool batch_norm) {
  return absl::StrCat("mlp { hidden: 5 hidden: 7 activation: ACTIVATION_", activation,
                      " batch_norm: ", batch_norm ? "true" : "false",
                      " initialisation: INITIALISATION_HE_NORMAL }");
}

Tensor PlainActivation(const std::string& name, const Tensor& x) {
  if (name == "RELU") {
    return x.clamp_min(0);
  }
  if (name == "TANH") {
    return (x.exp() - (-x).exp()) / (x.exp() + (-x).exp());
  }
  if (name == "GELU") {
    return x * 0.5 * (1 + (x / std::sqrt(2.0)).erf());
  }
  return at::maximum(x, 0.01 * x);
}

TEST(MlpTest, EqualsAPlainlyWrittenNetworkOfOneTask) {
  torch::manual_seed(1);
  for (const std::string activation : kActivations) {
    for (const bool batch_norm : {false, true}) {
      const auto model = MakeModel(Text(activation, batch_norm), kImages);
      const Tensors parameters = RandomParameters(*model, /*tasks=*/3);
      const Tensor inputs = at::randn({3, 6, 2, 3, 1}, at::kDouble);
      const Tensor outputs = model->Forward(parameters, inputs, {});
      for (int64_t task = 0; task < 3; ++task) {
        Tensor x = inputs[task].flatten(1);
        size_t next = 0;
        for (int layer = 0; layer < 2; ++layer) {
          x = at::matmul(x, parameters[next++][task]);
          if (batch_norm) {
            x = at::batch_norm(x, parameters[next][task], parameters[next + 1][task], {}, {},
                               /*training=*/true, 0.1, 1e-5, /*cudnn_enabled=*/false);
            next += 2;
          } else {
            x = x + parameters[next++][task];
          }
          x = PlainActivation(activation, x);
        }
        x = at::matmul(x, parameters[next][task]) + parameters[next + 1][task];
        EXPECT_TRUE(at::allclose(outputs[task], x, 1e-9, 1e-9)) << Text(activation, batch_norm);
      }
    }
  }
}

TEST(MlpTest, TwoDerivativesAgreeWithFiniteDifferences) {
  torch::manual_seed(2);
  for (const std::string activation : kActivations) {
    for (const bool batch_norm : {false, true}) {
      const auto model = MakeModel(Text(activation, batch_norm), kImages);
      Tensors arguments = RandomParameters(*model, /*tasks=*/2);
      arguments.push_back(at::randn({2, 6, 2, 3, 1}, at::kDouble));
      ExpectDerivatives(
          [&](const Tensors& x) {
            return Weigh(
                model->Forward(absl::MakeConstSpan(x).first(x.size() - 1), x.back(), {}).pow(2));
          },
          arguments, /*orders=*/2, /*tolerance=*/1e-6);
    }
  }
}

TEST(MlpTest, WithoutHiddenLayersIsLinear) {
  torch::manual_seed(3);
  const auto mlp = MakeModel(
      "mlp { activation: ACTIVATION_TANH initialisation: INITIALISATION_HE_NORMAL }", kImages);
  const auto linear =
      MakeModel("linear { initialisation: INITIALISATION_GLOROT_UNIFORM }", kImages);
  ASSERT_EQ(mlp->parameters().size(), 2);
  EXPECT_EQ(linear->parameters()[0].shape, (std::vector<int64_t>{6, 4}));
  EXPECT_EQ(linear->parameters()[0].initialiser.kind, Initialiser::Kind::kGlorotUniform);
  const Tensors parameters = RandomParameters(*mlp, 2);
  const Tensor inputs = at::randn({2, 3, 2, 3, 1}, at::kDouble);
  const Tensor outputs = linear->Forward(parameters, inputs, {});
  EXPECT_TRUE(at::equal(mlp->Forward(parameters, inputs, {}), outputs));
  EXPECT_TRUE(at::allclose(outputs[1],
                           at::addmm(parameters[1][1], inputs[1].flatten(1), parameters[0][1])));
}

TEST(MlpTest, ParametersHaveTheirNamesAndShapes) {
  const auto describe = [](const Model& model) {
    std::vector<std::string> described;
    for (const auto& parameter : model.parameters()) {
      described.push_back(absl::StrCat(parameter.name, " ", absl::StrJoin(parameter.shape, "x")));
    }
    return described;
  };
  EXPECT_THAT(describe(*MakeModel(Text("RELU", false), kImages)),
              testing::ElementsAre("hidden1.weight 6x5", "hidden1.bias 5", "hidden2.weight 5x7",
                                   "hidden2.bias 7", "head.weight 7x4", "head.bias 4"));
  EXPECT_THAT(describe(*MakeModel(Text("RELU", true), kImages)),
              testing::ElementsAre("hidden1.weight 6x5", "norm1.scale 5", "norm1.shift 5",
                                   "hidden2.weight 5x7", "norm2.scale 7", "norm2.shift 7",
                                   "head.weight 7x4", "head.bias 4"));
}

TEST(MlpTest, RefusesAnEmptyLayerAndAnUnknownActivation) {
  EXPECT_THAT(std::string(TryModel("mlp { hidden: 5 hidden: 0 activation: ACTIVATION_RELU "
                                   "initialisation: INITIALISATION_HE_NORMAL }",
                                   kImages)
                              .status()
                              .message()),
              testing::HasSubstr("model.mlp.hidden"));
  EXPECT_THAT(
      std::string(TryModel("mlp { hidden: 5 initialisation: INITIALISATION_HE_NORMAL }", kImages)
                      .status()
                      .message()),
      testing::HasSubstr("model.mlp.activation"));
}

}  // namespace
}  // namespace innerloop::meta
