#include "core/tensor/parameter_set.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

namespace innerloop {
namespace {

using ::testing::HasSubstr;

v1::ParameterLayout Proto(const std::string& text) {
  v1::ParameterLayout proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto));
  return proto;
}

TEST(Layout, PlacesTensorsAtMultiplesOf64Bytes) {
  const Layout layout = Layout::Create(Proto(R"(
      tensors { name: "weight" shape: 2 shape: 3 }
      tensors { name: "scale" role: TENSOR_ROLE_AVERAGED }
      tensors { name: "wide" shape: 17 learning_rate_multiplier: 0 lower_bound: -1 })"))
                            .value();
  ASSERT_EQ(layout.tensors().size(), 3U);
  EXPECT_EQ(layout.tensors()[0].role, v1::TENSOR_ROLE_OPTIMISED);
  EXPECT_EQ(layout.tensors()[0].offset, 0);
  EXPECT_EQ(layout.tensors()[0].size, 6);
  EXPECT_EQ(layout.tensors()[1].offset, 16);
  EXPECT_EQ(layout.tensors()[1].size, 1);
  EXPECT_EQ(layout.tensors()[2].offset, 32);
  EXPECT_EQ(layout.tensors()[2].learning_rate_multiplier, 0);
  EXPECT_EQ(layout.tensors()[2].lower_bound, -1);
  EXPECT_EQ(layout.flat_size(), 64);
  EXPECT_EQ(layout.scalars(), 24);
  EXPECT_EQ(layout.Find("wide"), &layout.tensors()[2]);
  EXPECT_EQ(layout.Find("wid"), nullptr);
}

TEST(Layout, RoundTripsThroughItsMessage) {
  const v1::ParameterLayout proto = Proto(R"(
      tensors { name: "a" shape: 2 role: TENSOR_ROLE_OPTIMISED learning_rate_multiplier: 0.5 }
      tensors { name: "b" shape: 3 role: TENSOR_ROLE_FIXED lower_bound: 0 upper_bound: 1 })");
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      Layout::Create(proto).value().ToProto(), proto));
}

TEST(Layout, SaysWhereAnotherDiffers) {
  const Layout layout =
      Layout::Create(Proto("tensors { name: 'a' shape: 2 shape: 3 } tensors { name: 'b' }"))
          .value();
  const auto difference = [&](const std::string& other) {
    return layout.Difference(Layout::Create(Proto(other)).value());
  };
  EXPECT_TRUE(layout.SameAs(layout));
  EXPECT_EQ(difference("tensors { name: 'a' shape: 2 shape: 4 } tensors { name: 'b' }"),
            "tensor 0: 'a' [2,3] against 'a' [2,4]");
  EXPECT_EQ(difference("tensors { name: 'a' shape: 2 shape: 3 }"), "2 tensors against 1");
  EXPECT_EQ(difference("tensors { name: 'a' shape: 2 shape: 3 } "
                       "tensors { name: 'b' role: TENSOR_ROLE_FIXED }"),
            "tensor 1: 'b' [] against 'b' [] fixed");
}

TEST(Layout, RefusesWhatCannotBeAndSaysWhichTensor) {
  const std::pair<std::string, std::string> cases[] = {
      {"tensors { }", "the name of tensor 0"},
      {"tensors { name: 'a b' }", "the name of tensor 0"},
      {"tensors { name: '" + std::string(201, 'x') + "' }", "has 201 characters"},
      {"tensors { name: 'a' } tensors { name: 'a' }", "tensor 'a' is there twice"},
      {"tensors { name: 'optimizer/x' }", "may not begin with 'optimizer/'"},
      {"tensors { name: 'a' shape: 2 shape: 0 }", "tensor 'a': the shape [2,0]"},
      {"tensors { name: 'a' shape: -1 }", "tensor 'a': the shape [-1]"},
      {"tensors { name: 'a' role: 99 }", "tensor 'a': unknown role 99"},
      {"tensors { name: 'a' learning_rate_multiplier: -1 }", "multiplier -1"},
      {"tensors { name: 'a' learning_rate_multiplier: nan }", "multiplier nan"},
      {"tensors { name: 'a' lower_bound: 2 upper_bound: 1 }", "the bounds [2, 1] hold no value"},
      {"tensors { name: 'a' lower_bound: nan }", "hold no value"},
  };
  for (const auto& [text, message] : cases) {
    v1::ParameterLayout proto;
    if (text.find("99") != std::string::npos) {  // text format knows the enumeration
      proto.add_tensors()->set_name("a");
      proto.mutable_tensors(0)->set_role(static_cast<v1::TensorRole>(99));
    } else {
      proto = Proto(text);
    }
    const absl::Status status = Layout::Create(proto).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << text;
  }
}

TEST(Layout, RefusesMoreScalarsThanAllowed) {
  const auto status = [](const std::string& text, uint64_t max_scalars) {
    return Layout::Create(Proto(text), max_scalars).status();
  };
  EXPECT_TRUE(status("tensors { name: 'a' shape: 10 }", 10).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(status("tensors { name: 'a' shape: 11 }", 10)));
  const absl::Status sum =
      status("tensors { name: 'a' shape: 6 } tensors { name: 'b' shape: 5 }", 10);
  EXPECT_TRUE(absl::IsResourceExhausted(sum));
  EXPECT_THAT(std::string(sum.message()), HasSubstr("'b'"));
  // A product that is 0 modulo 2^64.
  EXPECT_TRUE(absl::IsResourceExhausted(
      status("tensors { name: 'a' shape: 4294967296 shape: 4294967296 }", UINT64_MAX)));
}

TEST(FlatBuffer, IsAlignedZeroAndEmptyAfterAMove) {
  FlatBuffer buffer(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0U);
  EXPECT_THAT(buffer.values(), ::testing::Each(0.0F));
  buffer.data()[99] = 3;
  const FlatBuffer copy = buffer.Clone();
  const FlatBuffer moved = std::move(buffer);
  EXPECT_TRUE(buffer.empty());  // NOLINT(bugprone-use-after-move): what the class promises
  EXPECT_EQ(buffer.bytes().size(), 0U);
  EXPECT_EQ(moved.values()[99], 3);
  EXPECT_EQ(copy.values(), moved.values());
  EXPECT_NE(copy.data(), moved.data());
  EXPECT_EQ(moved.bytes().size(), 400U);
}

// Computed by Python's hashlib and struct from the description in the header.
TEST(ParametersSha256, IsOverNamesShapesAndValuesWithoutPadding) {
  const Layout layout =
      Layout::Create(Proto("tensors { name: 'weight' shape: 2 shape: 3 } tensors { name: 'bias' }"))
          .value();
  FlatBuffer flat(layout.flat_size());
  for (int i = 0; i < 6; ++i) {
    flat.data()[i] = static_cast<float>(i);
  }
  flat.data()[16] = -1.5F;
  const std::string expected = "f422340903f4c4239ab8d09f5379b3b64a523b05af46f36776ef89f3561b1a80";
  EXPECT_EQ(ParametersSha256(layout, flat.values()), expected);
  flat.data()[7] = 1;  // padding
  EXPECT_EQ(ParametersSha256(layout, flat.values()), expected);
  flat.data()[5] = 5.0000005F;
  EXPECT_NE(ParametersSha256(layout, flat.values()), expected);
}

TEST(AllFinite, FindsANonFiniteValueAnywhere) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  FlatBuffer buffer(600);
  for (float& value : buffer.values()) {
    value = -std::numeric_limits<float>::max();
  }
  buffer.data()[1] = std::numeric_limits<float>::denorm_min();
  EXPECT_TRUE(AllFinite(buffer.values()));
  EXPECT_TRUE(AllFinite({}));
  for (const float bad : {kInfinity, -kInfinity, std::nanf(""), -std::nanf("1")}) {
    for (const int64_t place : {0, 255, 256, 511, 512, 599}) {
      FlatBuffer copy = buffer.Clone();
      copy.data()[place] = bad;
      EXPECT_FALSE(AllFinite(copy.values())) << bad << " at " << place;
    }
  }
}

}  // namespace
}  // namespace innerloop
