#include "core/meta/models/conv4.h"

#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/meta/derivatives.h"
#include "tests/core/meta/models/model_fixtures.h"

namespace innerloop::meta {
namespace {

struct Variant {
  std::string downsampling;
  std::string norm;
  std::string head;
  TaskShape shape;

  bool pools() const { return downsampling == "MAX_POOL"; }
  std::string text() const {
    return absl::StrCat("conv4 { filters: 3 downsampling: DOWNSAMPLING_", downsampling,
                        " norm: NORM_", norm, " head: HEAD_", head,
                        " initialisation: INITIALISATION_GLOROT_UNIFORM }");
  }
};

std::vector<Variant> Variants() {
  std::vector<Variant> variants;
  for (const std::string norm : {"BATCH", "LAYER", "NONE"}) {
    for (const std::string head : {"SPATIAL_MEAN", "FLATTEN"}) {
      variants.push_back({"STRIDE", norm, head, {{11, 18, 2}, 4, true}});
      variants.push_back({"MAX_POOL", norm, head, {{16, 33, 2}, 4, true}});
    }
  }
  return variants;
}

// One task with LibTorch's own layers, channels first.
Tensor PlainForward(const Variant& variant, const Tensors& parameters, const Tensor& inputs) {
  Tensor x = inputs.permute({0, 3, 1, 2});
  const Tensor* next = parameters.data();
  for (int block = 0; block < 4; ++block) {
    const Tensor weight = (*next++).view({3, 3, x.size(1), -1}).permute({3, 2, 0, 1});
    const Tensor bias = variant.norm == "BATCH" ? Tensor() : *next++;
    x = at::conv2d(x, weight, bias, variant.pools() ? 1 : 2, /*padding=*/1);
    if (variant.norm == "BATCH") {
      x = at::batch_norm(x, next[0], next[1], {}, {}, /*training=*/true, 0.1, 1e-5, false);
      next += 2;
    } else if (variant.norm == "LAYER") {
      x = at::layer_norm(x, x.sizes().slice(1)) * next[0].view({1, -1, 1, 1}) +
          next[1].view({1, -1, 1, 1});
      next += 2;
    }
    x = at::relu(x);
    if (variant.pools()) {
      x = at::max_pool2d(x, {2, 2});
    }
  }
  x = variant.head == "FLATTEN" ? x.permute({0, 2, 3, 1}).flatten(1) : x.mean({2, 3});
  return at::addmm(next[1], x, next[0]);
}

TEST(Conv4Test, EqualsAPlainlyWrittenNetworkOfOneTask) {
  torch::manual_seed(1);
  for (const Variant& variant : Variants()) {
    const auto model = MakeModel(variant.text(), variant.shape);
    const Tensors parameters = RandomParameters(*model, /*tasks=*/3);
    const Tensor inputs =
        at::rand({3, 5, variant.shape.input[0], variant.shape.input[1], 2}, at::kDouble);
    const Tensor outputs = model->Forward(parameters, inputs, {});
    ASSERT_EQ(outputs.sizes(), at::IntArrayRef({3, 5, 4}));
    for (int64_t task = 0; task < 3; ++task) {
      EXPECT_TRUE(at::allclose(
          outputs[task], PlainForward(variant, OfTask(parameters, task), inputs[task]), 1e-8, 1e-8))
          << variant.text();
    }
  }
}

// Gradients of a function of the outputs, and the gradients of a function of these.
Tensors TwoDerivatives(const std::function<Tensor(const Tensors&)>& forward, Tensors arguments) {
  for (Tensor& argument : arguments) {
    argument = argument.detach().clone().requires_grad_();
  }
  Tensors first = torch::autograd::grad({Weigh(forward(arguments).pow(2))}, arguments, {}, true,
                                        /*create_graph=*/true);
  Tensor sum = at::zeros({}, at::kDouble);
  for (const Tensor& gradient : first) {
    sum = sum + Weigh(gradient.square());
  }
  const Tensors second = torch::autograd::grad({sum}, arguments);
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Not against finite differences: they step over kinks of some of the many ReLUs.
TEST(Conv4Test, TwoDerivativesEqualThoseOfAPlainlyWrittenNetworkOfOneTask) {
  torch::manual_seed(2);
  for (const Variant& variant : Variants()) {
    const auto model = MakeModel(variant.text(), variant.shape);
    Tensors arguments = RandomParameters(*model, /*tasks=*/1);
    arguments.push_back(
        at::rand({1, 4, variant.shape.input[0], variant.shape.input[1], 2}, at::kDouble));
    const Tensors results = TwoDerivatives(
        [&](const Tensors& x) {
          return model->Forward(absl::MakeConstSpan(x).first(x.size() - 1), x.back(), {});
        },
        arguments);
    const Tensors expected = TwoDerivatives(
        [&](const Tensors& x) {
          const Tensors task = OfTask(x, 0);
          return PlainForward(variant, task, task.back()).unsqueeze(0);
        },
        arguments);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double scale = expected[i].abs().max().item<double>();
      EXPECT_LE((results[i] - expected[i]).abs().max().item<double>(), 1e-8 * (1 + scale))
          << variant.text() << ", tensor " << i;
    }
  }
}

TEST(Conv4Test, TakesImagesOfOnePixelWhenItStrides) {
  const Variant variant{"STRIDE", "LAYER", "FLATTEN", {{1, 1, 1}, 2, true}};
  const auto model = MakeModel(variant.text(), variant.shape);
  EXPECT_EQ(model->Forward(RandomParameters(*model, 1), at::rand({1, 2, 1, 1, 1}, at::kDouble), {})
                .sizes(),
            at::IntArrayRef({1, 2, 2}));
}

TEST(Conv4Test, ParametersHaveTheirNamesAndShapes) {
  const auto model =
      MakeModel(Variant{"MAX_POOL", "LAYER", "FLATTEN", {}}.text(), {{35, 17, 2}, 4, true});
  std::vector<std::string> described;
  for (const auto& parameter : model->parameters()) {
    described.push_back(absl::StrCat(parameter.name, " ", absl::StrJoin(parameter.shape, "x")));
  }
  EXPECT_THAT(described, testing::ElementsAre("conv1.weight 18x3", "conv1.bias 3", "norm1.scale 3",
                                              "norm1.shift 3", "conv2.weight 27x3", "conv2.bias 3",
                                              "norm2.scale 3", "norm2.shift 3", "conv3.weight 27x3",
                                              "conv3.bias 3", "norm3.scale 3", "norm3.shift 3",
                                              "conv4.weight 27x3", "conv4.bias 3", "norm4.scale 3",
                                              "norm4.shift 3", "head.weight 6x4", "head.bias 4"));
}

TEST(Conv4Test, BatchNormTakesThePlaceOfTheBias) {
  const auto model = MakeModel(Variant{"STRIDE", "BATCH", "FLATTEN", {}}.text(), {{28, 28, 1}, 5});
  for (const auto& parameter : model->parameters()) {
    EXPECT_FALSE(parameter.name == "conv1.bias");
  }
  EXPECT_EQ(model->parameters().size(), 14);
}

TEST(Conv4Test, FansCountTheWindow) {
  const auto model = MakeModel(Variant{"STRIDE", "BATCH", "FLATTEN", {}}.text(), {{28, 28, 2}, 5});
  EXPECT_EQ(model->parameters()[0].initialiser.fan_in, 18);
  EXPECT_EQ(model->parameters()[0].initialiser.fan_out, 27);
}

TEST(Conv4Test, RefusesImagesTooSmallForItsPools) {
  const auto model =
      TryModel(Variant{"MAX_POOL", "BATCH", "FLATTEN", {}}.text(), {{28, 15, 1}, 5, true});
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(model.status().message()),
              testing::AllOf(testing::HasSubstr("model.conv4.downsampling"),
                             testing::HasSubstr("28x15"), testing::HasSubstr("16x16")));
}

TEST(Conv4Test, RefusesExamplesThatAreNoImages) {
  const auto model = TryModel(Variant{"STRIDE", "BATCH", "FLATTEN", {}}.text(), {{784}, 5, true});
  EXPECT_THAT(std::string(model.status().message()), testing::HasSubstr("wants images"));
}

TEST(Conv4Test, RefusesWhatIsLeftOpen) {
  const auto model = TryModel("conv4 { filters: 3 }", {{28, 28, 1}, 5, true});
  EXPECT_THAT(std::string(model.status().message()),
              testing::HasSubstr("model.conv4.initialisation"));
}

}  // namespace
}  // namespace innerloop::meta
