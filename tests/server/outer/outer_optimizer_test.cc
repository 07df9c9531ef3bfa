#include "server/outer/outer_optimizer.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/random.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

v1::TensorSpec Tensor(const std::string& name, int64_t size,
                      v1::TensorRole role = v1::TENSOR_ROLE_OPTIMISED) {
  v1::TensorSpec tensor;
  tensor.set_name(name);
  tensor.add_shape(size);
  tensor.set_role(role);
  return tensor;
}

Layout LayoutOf(const std::vector<v1::TensorSpec>& tensors) {
  v1::ParameterLayout proto;
  for (const v1::TensorSpec& tensor : tensors) {
    *proto.add_tensors() = tensor;
  }
  absl::StatusOr<Layout> layout = Layout::Create(proto);
  EXPECT_TRUE(layout.ok()) << layout.status();
  return *std::move(layout);
}

v1::OuterOptimizer Adam(double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8) {
  v1::OuterOptimizer spec;
  spec.mutable_adam()->set_beta1(beta1);
  spec.mutable_adam()->set_beta2(beta2);
  spec.mutable_adam()->set_epsilon(epsilon);
  return spec;
}

v1::OuterOptimizer AdamW(double weight_decay) {
  v1::OuterOptimizer spec;
  spec.mutable_adamw()->set_beta1(0.9);
  spec.mutable_adamw()->set_beta2(0.999);
  spec.mutable_adamw()->set_epsilon(1e-8);
  spec.mutable_adamw()->set_weight_decay(weight_decay);
  return spec;
}

v1::OuterOptimizer Sgd(double momentum = 0, bool nesterov = false) {
  v1::OuterOptimizer spec;
  spec.mutable_sgd()->set_momentum(momentum);
  spec.mutable_sgd()->set_nesterov(nesterov);
  return spec;
}

v1::OuterOptimizer RmsProp() {
  v1::OuterOptimizer spec;
  spec.mutable_rmsprop()->set_decay(0.99);
  spec.mutable_rmsprop()->set_epsilon(1e-8);
  return spec;
}

std::unique_ptr<OuterOptimizer> Make(const v1::OuterOptimizer& spec, const Layout& layout) {
  absl::StatusOr<std::unique_ptr<OuterOptimizer>> optimizer = OuterOptimizer::Create(spec, layout);
  EXPECT_TRUE(optimizer.ok()) << optimizer.status();
  return *std::move(optimizer);
}

// One scalar's state in a plainly written step in double precision: (g, theta, first, second, t).
struct Scalar {
  double theta, first, second;
};
using Formula = std::function<void(double g, double t, Scalar& x)>;

// 200 steps on random updates, against the formula for each scalar.
void ExpectFollows(const v1::OuterOptimizer& spec, double learning_rate, const Formula& formula) {
  constexpr int64_t kSize = 37;  // no multiple of any vector's length
  const Layout layout = LayoutOf({Tensor("a", kSize)});
  const auto optimizer = Make(spec, layout);
  FlatBuffer parameters(layout.flat_size());
  FlatBuffer update(layout.flat_size());
  std::vector<Scalar> expected(kSize, Scalar{0, 0, 0});
  CounterRandom random(/*seed=*/1, RandomPurpose::kTask);
  for (int64_t i = 0; i < kSize; ++i) {
    parameters.data()[i] = static_cast<float>(random.Normal());
    expected[i].theta = parameters.data()[i];
  }
  for (int t = 1; t <= 200; ++t) {
    for (int64_t i = 0; i < kSize; ++i) {
      update.data()[i] = static_cast<float>(random.Normal() + 0.3);
      formula(update.data()[i], t, expected[i]);
    }
    optimizer->Step(learning_rate, update.values(), parameters.values());
  }
  EXPECT_EQ(optimizer->steps(), 200);
  for (int64_t i = 0; i < kSize; ++i) {
    // Rounding of 200 float steps of a size around the learning rate.
    EXPECT_NEAR(parameters.data()[i], expected[i].theta, 2e-5) << i;
  }
}

TEST(OuterOptimizerTest, SgdFollowsItsFormula) {
  ExpectFollows(Sgd(), 0.01, [](double g, double, Scalar& x) { x.theta -= 0.01 * g; });
}

TEST(OuterOptimizerTest, MomentumFollowsItsFormula) {
  ExpectFollows(Sgd(0.9), 0.001, [](double g, double, Scalar& x) {
    x.first = 0.9 * x.first + g;
    x.theta -= 0.001 * x.first;
  });
}

TEST(OuterOptimizerTest, NesterovMomentumFollowsItsFormula) {
  ExpectFollows(Sgd(0.9, /*nesterov=*/true), 0.001, [](double g, double, Scalar& x) {
    x.first = 0.9 * x.first + g;
    x.theta -= 0.001 * (g + 0.9 * x.first);
  });
}

// Kingma & Ba 2015, algorithm 1.
TEST(OuterOptimizerTest, AdamFollowsItsPaper) {
  ExpectFollows(Adam(), 0.01, [](double g, double t, Scalar& x) {
    x.first = 0.9 * x.first + 0.1 * g;
    x.second = 0.999 * x.second + 0.001 * g * g;
    const double m = x.first / (1 - std::pow(0.9, t));
    const double v = x.second / (1 - std::pow(0.999, t));
    x.theta -= 0.01 * m / (std::sqrt(v) + 1e-8);
  });
}

// Loshchilov & Hutter 2019, algorithm 2, with the decay scaled by the learning rate.
TEST(OuterOptimizerTest, AdamWFollowsItsPaper) {
  ExpectFollows(AdamW(0.1), 0.01, [](double g, double t, Scalar& x) {
    x.theta -= 0.01 * 0.1 * x.theta;
    x.first = 0.9 * x.first + 0.1 * g;
    x.second = 0.999 * x.second + 0.001 * g * g;
    x.theta -= 0.01 * (x.first / (1 - std::pow(0.9, t))) /
               (std::sqrt(x.second / (1 - std::pow(0.999, t))) + 1e-8);
  });
}

TEST(OuterOptimizerTest, RmsPropFollowsItsFormula) {
  ExpectFollows(RmsProp(), 0.001, [](double g, double, Scalar& x) {
    x.second = 0.99 * x.second + 0.01 * g * g;
    x.theta -= 0.001 * g / (std::sqrt(x.second) + 1e-8);
  });
}

TEST(OuterOptimizerTest, FirstStepsAreThoseComputedByHand) {
  const Layout layout = LayoutOf({Tensor("a", 2)});
  const auto first_step = [&](const v1::OuterOptimizer& spec) {
    FlatBuffer parameters(layout.flat_size());
    FlatBuffer update(layout.flat_size());
    parameters.data()[0] = 1;
    parameters.data()[1] = 1;
    update.data()[0] = 4;
    update.data()[1] = -0.5;
    Make(spec, layout)->Step(0.1, update.values(), parameters.values());
    return std::vector<float>(parameters.data(), parameters.data() + 2);
  };
  const auto near = [](float a, float b) {
    return ::testing::ElementsAre(::testing::FloatNear(a, 1e-6), ::testing::FloatNear(b, 1e-6));
  };
  EXPECT_THAT(first_step(Sgd()), near(0.6, 1.05));
  EXPECT_THAT(first_step(Sgd(0.5, /*nesterov=*/true)), near(0.4, 1.075));
  // Adam's first step has the learning rate's length, whatever the gradient's.
  EXPECT_THAT(first_step(Adam()), near(0.9, 1.1));
  EXPECT_THAT(first_step(AdamW(0.5)), near(0.85, 1.05));
  // g / sqrt(0.01 g^2) = 10.
  EXPECT_THAT(first_step(RmsProp()), near(0, 2));
}

TEST(OuterOptimizerTest, RolesMultipliersAndBoundsDecideWhatATensorBecomes) {
  v1::TensorSpec slow = Tensor("slow", 1);
  slow.set_learning_rate_multiplier(0.5);
  v1::TensorSpec bounded = Tensor("bounded", 2);
  bounded.set_lower_bound(-0.25);
  bounded.set_upper_bound(0.75);
  const Layout layout = LayoutOf({slow, bounded, Tensor("statistics", 1, v1::TENSOR_ROLE_AVERAGED),
                                  Tensor("constant", 1, v1::TENSOR_ROLE_FIXED)});
  FlatBuffer parameters(layout.flat_size());
  FlatBuffer update(layout.flat_size());
  const auto at = [&](FlatBuffer& buffer, const char* name, int i = 0) -> float& {
    return buffer.data()[layout.Find(name)->offset + i];
  };
  at(update, "slow") = 1;
  at(update, "bounded", 0) = 1;
  at(update, "bounded", 1) = -1;
  at(update, "statistics") = 7;
  at(update, "constant") = 7;
  at(parameters, "constant") = 3;
  Make(Sgd(), layout)->Step(1, update.values(), parameters.values());
  EXPECT_EQ(at(parameters, "slow"), -0.5F);
  EXPECT_EQ(at(parameters, "bounded", 0), -0.25F);
  EXPECT_EQ(at(parameters, "bounded", 1), 0.75F);
  EXPECT_EQ(at(parameters, "statistics"), 7);
  EXPECT_EQ(at(parameters, "constant"), 3);
}

TEST(OuterOptimizerTest, GoesOnFromRestoredStateToTheSameBits) {
  const Layout layout = LayoutOf({Tensor("a", 19), Tensor("b", 3)});
  for (const v1::OuterOptimizer& spec : {Sgd(0.9), Adam(), AdamW(0.01), RmsProp()}) {
    FlatBuffer update(layout.flat_size());
    FlatBuffer whole(layout.flat_size());
    for (int64_t i = 0; i < layout.flat_size(); ++i) {
      update.data()[i] = 0.01F * static_cast<float>(i + 1);
    }
    const auto optimizer = Make(spec, layout);
    for (int i = 0; i < 3; ++i) {
      optimizer->Step(0.1, update.values(), whole.values());
    }
    FlatBuffer resumed = whole.Clone();
    std::map<std::string, FlatBuffer> slots;
    for (const auto& [name, buffer] : optimizer->slots()) {
      slots.emplace(name, buffer->Clone());
    }
    const auto other = Make(spec, layout);
    ASSERT_TRUE(other->Restore(optimizer->steps(), std::move(slots)).ok());
    for (int i = 0; i < 3; ++i) {
      optimizer->Step(0.1, update.values(), whole.values());
      other->Step(0.1, update.values(), resumed.values());
    }
    EXPECT_EQ(std::memcmp(whole.data(), resumed.data(), whole.bytes().size()), 0)
        << spec.ShortDebugString();
  }
}

TEST(OuterOptimizerTest, RefusesStateOfAnotherOptimizerOrSize) {
  const Layout layout = LayoutOf({Tensor("a", 4)});
  std::map<std::string, FlatBuffer> slots;
  slots.emplace("mean_square", FlatBuffer(layout.flat_size()));
  absl::Status status = Make(Adam(), layout)->Restore(1, std::move(slots));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("first_moment, second_moment"));

  slots.clear();
  slots.emplace("momentum", FlatBuffer(layout.flat_size() + 16));
  status = Make(Sgd(0.9), layout)->Restore(1, std::move(slots));
  EXPECT_THAT(std::string(status.message()), HasSubstr("momentum has 32 values"));
}

TEST(OuterOptimizerTest, RefusesASpecWithoutAnOptimizer) {
  const auto optimizer = OuterOptimizer::Create(v1::OuterOptimizer(), LayoutOf({Tensor("a", 1)}));
  EXPECT_THAT(std::string(optimizer.status().message()), HasSubstr("sgd, adam, adamw, rmsprop"));
}

TEST(OuterOptimizerTest, MomentsOfParametersWithoutGradientsBecomeZeroInsteadOfDenormal) {
  const Layout layout = LayoutOf({Tensor("a", 1)});
  const auto optimizer = Make(Adam(), layout);
  FlatBuffer parameters(layout.flat_size());
  FlatBuffer update(layout.flat_size());
  update.data()[0] = 1e-30F;
  optimizer->Step(0.1, update.values(), parameters.values());
  update.data()[0] = 0;
  for (int i = 0; i < 1000; ++i) {
    optimizer->Step(0.1, update.values(), parameters.values());
  }
  EXPECT_EQ(optimizer->slots().at("first_moment")->data()[0], 0.0F);
}

}  // namespace
}  // namespace innerloop::server
