#include "core/tensor/safetensors.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Metadata = std::map<std::string, std::string>;

std::string Joined(const SafeTensorsFile& file) {
  std::string bytes = file.header;
  for (const absl::string_view piece : file.pieces) {
    bytes.append(piece.data(), piece.size());
  }
  return bytes;
}

std::string SealedFile() {
  const std::string images = "abcdef";
  const std::string labels(16, '\1');
  const std::string weights(12, '\2');
  SafeTensorsFile file =
      BuildSafeTensors({{"images", ElementType::kU8, {2, 3}, images},
                        {"weights", ElementType::kF32, {3}, weights},
                        {"labels", ElementType::kI64, {2}, labels},
                        {"none", ElementType::kF32, {0, 5}, ""}},
                       {{"format", "test-1"}, {"crc32c", "00000000"}, {"text", "quo\"te \xC3\xA9"}})
          .value();
  SealCrc32c(file);
  return Joined(file);
}

// A file with this header.
std::string WithHeader(const std::string& json, const std::string& data = "") {
  const uint64_t length = json.size();
  std::string prefix(8, '\0');
  std::memcpy(prefix.data(), &length, 8);
  return prefix + json + data;
}

TEST(SafeTensors, RoundTripWithEachTensorAligned) {
  const std::string bytes = SealedFile();
  const SafeTensorsView view = ParseSafeTensors(bytes, "f").value();
  std::vector<std::string> names;
  for (const SafeTensor& tensor : view.tensors) {
    names.push_back(tensor.name);
    EXPECT_EQ((tensor.bytes.data() - bytes.data()) % ElementSize(tensor.type), 0) << tensor.name;
  }
  EXPECT_THAT(names, ElementsAre("labels", "weights", "none", "images"));
  EXPECT_EQ((view.tensors[0].bytes.data() - bytes.data()) % 64, 0);
  EXPECT_EQ(view.Find("images")->bytes, "abcdef");
  EXPECT_THAT(view.Find("images")->shape, ElementsAre(2, 3));
  EXPECT_EQ(view.Find("other"), nullptr);
  EXPECT_EQ(view.metadata.at("text"), "quo\"te \xC3\xA9");
  EXPECT_TRUE(VerifyCrc32c(bytes, "f").ok());
}

// The example of the format's own page, written by hand.
TEST(SafeTensors, ReadsWhatOthersWrite) {
  const std::string bytes =
      WithHeader(R"( {"b":{"data_offsets":[4,6],"shape":[2],"dtype":"U8"},"a":{"dtype":"F32",)"
                 R"("shape":[],"data_offsets":[0,4]}} )",
                 std::string("\0\0\x80\x3F", 4) + "xy");
  const SafeTensorsView view = ParseSafeTensors(bytes, "f").value();
  ASSERT_EQ(view.tensors.size(), 2U);
  float value = 0;
  std::memcpy(&value, view.tensors[0].bytes.data(), 4);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(view.tensors[1].bytes, "xy");
}

TEST(SafeTensors, EveryTruncationIsNoticed) {
  const std::string bytes = SealedFile();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const absl::string_view cut = absl::string_view(bytes).substr(0, size);
    EXPECT_TRUE(absl::IsInvalidArgument(ParseSafeTensors(cut, "f").status())) << size;
    EXPECT_TRUE(absl::IsDataLoss(VerifyCrc32c(cut, "f"))) << size;
    EXPECT_TRUE(absl::IsDataLoss(ParseSealed(cut, "test-1", "f").status())) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(VerifyCrc32c(bytes + '\0', "f")));
}

TEST(SafeTensors, EveryFlippedBitIsNoticed) {
  std::string bytes = SealedFile();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const char mask = static_cast<char>(1 << bit % 8);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
    EXPECT_TRUE(absl::IsDataLoss(VerifyCrc32c(bytes, "f"))) << bit;
    EXPECT_TRUE(absl::IsDataLoss(ParseSealed(bytes, "test-1", "f").status())) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
  }
  EXPECT_TRUE(ParseSealed(bytes, "test-1", "f").ok());
}

TEST(SafeTensors, FilesOfAnotherKindAreToldFromDamagedOnes) {
  const absl::Status other = ParseSealed(SealedFile(), "test-2", "some.file").status();
  EXPECT_TRUE(absl::IsInvalidArgument(other));
  EXPECT_THAT(std::string(other.message()), HasSubstr("'some.file' has the format 'test-1'"));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseSealed(WithHeader("{}"), "test-1", "f").status()));
  const absl::Status garbage = ParseSealed("no safetensors at all", "test-1", "f").status();
  EXPECT_TRUE(absl::IsDataLoss(garbage));
}

TEST(SafeTensors, HostileHeadersAreRefused) {
  const std::string deep(1'000'000, '[');
  const std::string deep_objects = [] {
    std::string text;
    for (int i = 0; i < 100'000; ++i) {
      text += "{\"a\":";
    }
    return text;
  }();
  const std::pair<std::string, std::string> cases[] = {
      {std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10), "its header should have"},
      {std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}", 10), "its header should have"},
      {std::string("\x03\0\0\0\0\0\0\0{}", 10), "its header should have 3 bytes"},
      {WithHeader(""), "no JSON"},
      {WithHeader("{}x"), "no JSON"},
      {WithHeader("{\"a\xFF\":1}"), "no JSON"},
      {WithHeader("[]"), "an array where none belongs"},
      {WithHeader(deep), "an array where none belongs"},
      {WithHeader(deep_objects), "has the field 'a'"},
      {WithHeader(R"({"__metadata__":{"a":{}}})"), "an object where none belongs, after 'a'"},
      {WithHeader(R"({"__metadata__":{"a":1}})"), "a number where none belongs, after 'a'"},
      {WithHeader(R"({"__metadata__":{"a":"1","a":"2"}})"), "metadata 'a' is there twice"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[0]}})"), "tensor 'a' lacks one of"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}})"), "it takes 2"},
      {WithHeader(R"({"a":{"dtype":"U8","dtype":"U8"}})"), "dtype twice"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})"), "negative"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[1e3],"data_offsets":[0,0]}})"), "fraction"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,0]}})"), "an array"},
      {WithHeader(R"({"a":{"dtype":"F16","shape":[0],"data_offsets":[0,0]}})"),
       "has the type 'F16'; known: U8, F32, I64"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "x"),
       "tensor 'a' lies at bytes 0 to 2 of 1"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}})", "xy"),
       "lies at bytes 2 to 0"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}})", "xy"),
       "of shape [3] and type U8 has 2 bytes"},
      // 2^32 * 2^32 is 0 modulo 2^64.
      {WithHeader(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})"),
       "has 0 bytes"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                  "xyz"),
       "tensor 'b' begins at byte 1; the one before it ends at 2"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "xy"),
       "begins at byte 1"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "xyz"),
       "2 bytes belong to no tensor"},
      {WithHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                  R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                  "xy"),
       "'a' is there twice"},
  };
  for (const auto& [bytes, message] : cases) {
    const absl::Status status = ParseSafeTensors(bytes, "some.file").status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr("'some.file'"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(SafeTensors, WhatCannotBeWrittenIsRefused) {
  const auto refused = [](std::vector<SafeTensor> tensors, const Metadata& metadata) {
    return std::string(BuildSafeTensors(tensors, metadata).status().message());
  };
  EXPECT_THAT(refused({{"a", ElementType::kF32, {2}, "1234"}}, {}),
              HasSubstr("tensor 'a' of shape [2] does not have 4 bytes"));
  EXPECT_THAT(refused({{"a", ElementType::kU8, {1}, "1"}, {"a", ElementType::kU8, {1}, "1"}}, {}),
              HasSubstr("cannot be called 'a'"));
  EXPECT_THAT(refused({{"__metadata__", ElementType::kU8, {1}, "1"}}, {}),
              HasSubstr("cannot be called '__metadata__'"));
  EXPECT_THAT(refused({}, {{"a", "\xFF"}}), HasSubstr("UTF-8"));
}

// Names and values that look like the checksum's key do not mislead it.
TEST(SafeTensors, TheChecksumIsFoundAmongLookalikes) {
  SafeTensorsFile file = BuildSafeTensors({{"crc32c\":\"00000000", ElementType::kU8, {1}, "x"},
                                           {"crc32c", ElementType::kU8, {1}, "y"}},
                                          {{"a", R"("crc32c":"00000000")"}, {"crc32c", "00000000"}})
                             .value();
  SealCrc32c(file);
  const std::string bytes = Joined(file);
  EXPECT_TRUE(VerifyCrc32c(bytes, "f").ok());
  EXPECT_NE(ParseSafeTensors(bytes, "f").value().metadata.at("crc32c"), "00000000");
}

}  // namespace
}  // namespace innerloop
