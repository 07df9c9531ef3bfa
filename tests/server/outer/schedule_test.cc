#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "server/outer/outer_optimizer.h"
#include "server/outer/portable_math.h"

namespace innerloop::server {
namespace {

TEST(ScheduleTest, ConstantIsOne) {
  EXPECT_EQ(ScheduleFactor({}, /*iteration=*/7, /*iterations=*/10), 1);
}

TEST(ScheduleTest, LinearGoesFromOneToItsEnd) {
  v1::LearningRateSchedule schedule;
  schedule.mutable_linear()->set_end(0.2);
  EXPECT_DOUBLE_EQ(ScheduleFactor(schedule, 0, 100), 1);
  EXPECT_DOUBLE_EQ(ScheduleFactor(schedule, 25, 100), 0.8);
  EXPECT_DOUBLE_EQ(ScheduleFactor(schedule, 100, 100), 0.2);
}

TEST(ScheduleTest, CosineFollowsItsPaper) {
  v1::LearningRateSchedule schedule;
  schedule.mutable_cosine()->set_end(0.01);
  for (const int i : {0, 1, 250, 500, 737, 999, 1000}) {
    EXPECT_NEAR(ScheduleFactor(schedule, i, 1000),
                0.01 + 0.99 * (1 + std::cos(M_PI * i / 1000.0)) / 2, 1e-15)
        << i;
  }
}

TEST(ScheduleTest, StepFallsByItsFactorAtEachInterval) {
  v1::LearningRateSchedule schedule;
  schedule.mutable_step()->set_every(10);
  schedule.mutable_step()->set_factor(0.5);
  EXPECT_EQ(ScheduleFactor(schedule, 9, 100), 1);
  EXPECT_EQ(ScheduleFactor(schedule, 10, 100), 0.5);
  EXPECT_EQ(ScheduleFactor(schedule, 39, 100), 0.125);
}

TEST(ScheduleTest, WarmUpRisesFromTheFirstIterationOn) {
  v1::LearningRateSchedule schedule;
  schedule.set_warm_up(4);
  EXPECT_EQ(ScheduleFactor(schedule, 0, 100), 0.25);
  EXPECT_EQ(ScheduleFactor(schedule, 2, 100), 0.75);
  EXPECT_EQ(ScheduleFactor(schedule, 3, 100), 1);
  EXPECT_EQ(ScheduleFactor(schedule, 4, 100), 1);
}

TEST(PortableMathTest, AgreesWithTheMathLibrary) {
  for (int i = 0; i <= 1000; ++i) {
    EXPECT_NEAR(CosPi(i / 1000.0), std::cos(M_PI * i / 1000.0), 1e-15) << i;
  }
  EXPECT_NEAR(IntegerPower(0.999, 70'000) / std::pow(0.999, 70'000), 1, 1e-11);
  EXPECT_EQ(IntegerPower(0.5, 0), 1);
}

Layout ThreeTensors() {
  v1::ParameterLayout proto;
  for (const auto& [name, role] :
       {std::pair("a", v1::TENSOR_ROLE_OPTIMISED), std::pair("b", v1::TENSOR_ROLE_AVERAGED),
        std::pair("c", v1::TENSOR_ROLE_OPTIMISED)}) {
    v1::TensorSpec* tensor = proto.add_tensors();
    tensor->set_name(name);
    tensor->add_shape(100);
    tensor->set_role(role);
  }
  return *Layout::Create(proto);
}

TEST(ClipTest, NormIsThatOfOptimisedTensorsAlone) {
  const Layout layout = ThreeTensors();
  FlatBuffer update(layout.flat_size());
  double squares = 0;
  for (const TensorEntry& tensor : layout.tensors()) {
    for (int64_t i = 0; i < tensor.size; ++i) {
      const float value = 0.1F * static_cast<float>(i);
      update.data()[tensor.offset + i] = value;
      squares += tensor.name == "b" ? 0 : double{value} * value;
    }
  }
  EXPECT_DOUBLE_EQ(UpdateNorm(layout, update.values()), std::sqrt(squares));
}

TEST(ClipTest, ClipsByValueThenByNormAndLeavesStatisticsAlone) {
  const Layout layout = ThreeTensors();
  FlatBuffer update(layout.flat_size());
  const auto at = [&](const char* name) -> float& {
    return update.data()[layout.Find(name)->offset];
  };
  at("a") = 30;
  at("b") = 30;
  at("c") = -4;
  v1::OuterOptimizer spec;
  spec.set_clip_value(3);
  ClipUpdate(spec, layout, update.values());
  EXPECT_EQ(at("a"), 3);
  EXPECT_EQ(at("c"), -3);
  at("c") = -4;
  spec.set_clip_value(0);
  spec.set_clip_norm(1);
  ClipUpdate(spec, layout, update.values());
  EXPECT_FLOAT_EQ(at("a"), 0.6F);
  EXPECT_FLOAT_EQ(at("c"), -0.8F);
  EXPECT_EQ(at("b"), 30);
  spec.set_clip_norm(2);
  ClipUpdate(spec, layout, update.values());
  EXPECT_FLOAT_EQ(at("a"), 0.6F) << "a shorter update stays as it is";
}

}  // namespace
}  // namespace innerloop::server
