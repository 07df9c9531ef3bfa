#include "core/checkpoint/checkpoint.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/support/checksum.h"
#include "core/tensor/safetensors.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

FlatBuffer Ramp(const Layout& layout, float first) {
  FlatBuffer buffer(layout.flat_size());
  for (const TensorEntry& entry : layout.tensors()) {
    for (int64_t i = 0; i < entry.size; ++i) {
      buffer.data()[entry.offset + i] = first++;
    }
  }
  return buffer;
}

Checkpoint Example() {
  Checkpoint checkpoint;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(job_id: "k3" iteration: 12345678901234 fingerprint: "1/2.11.0/cpu/avx2"
         spec { name: "quotes \" and \303\251" meta_batch: 4 iterations: 9007199254740993
                tasks { sinusoid { shots: 10 amplitude { low: 0.1 high: 5 } } } }
         validation_loss: 0.1 optimizer_steps: 7 training_seconds: 0.30000000000000004)",
      &checkpoint.metadata));
  v1::ParameterLayout layout;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(tensors { name: "model.weight" shape: 2 shape: 3 learning_rate_multiplier: 0.5 }
         tensors { name: "model.bias" shape: 3 role: TENSOR_ROLE_FIXED }
         tensors { name: "scale" lower_bound: 0 })",
      &layout));
  checkpoint.layout = Layout::Create(layout).value();
  checkpoint.parameters = Ramp(checkpoint.layout, 1);
  checkpoint.optimizer_state["first_moment"] = Ramp(checkpoint.layout, 100);
  checkpoint.optimizer_state["second_moment"] = Ramp(checkpoint.layout, 200);
  return checkpoint;
}

std::string Write(const std::string& path, Checkpoint checkpoint) {
  return WriteCheckpoint(FileSystem::Real(), path, checkpoint).value();
}

TEST(Checkpoint, RoundTrips) {
  const TemporaryFolder folder;
  const std::string path = folder / CheckpointFileName(1200);
  Checkpoint written = Example();
  const std::string sha256 = WriteCheckpoint(FileSystem::Real(), path, written).value();
  EXPECT_EQ(sha256, ParametersSha256(written.layout, written.parameters.values()));
  const Checkpoint read = ReadCheckpoint(path).value();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(read.metadata, written.metadata))
      << read.metadata.DebugString();
  EXPECT_EQ(read.metadata.parameters_sha256(), sha256);
  EXPECT_EQ(read.metadata.spec().iterations(), 9007199254740993U);
  EXPECT_TRUE(read.layout.SameAs(written.layout));
  EXPECT_EQ(read.layout.tensors()[0].learning_rate_multiplier, 0.5);
  EXPECT_EQ(read.parameters.values(), written.parameters.values());
  ASSERT_THAT(read.optimizer_state, SizeIs(2));
  EXPECT_EQ(read.optimizer_state.at("second_moment").values(),
            written.optimizer_state.at("second_moment").values());
}

TEST(Checkpoint, SameContentsGiveTheSameBytes) {
  const TemporaryFolder folder;
  Write(folder / "a", Example());
  Write(folder / "b", Example());
  EXPECT_EQ(ReadFile(folder / "a"), ReadFile(folder / "b"));
}

// As a reader that knows only the format's page would.
TEST(Checkpoint, IsReadWithoutThisProjectsCode) {
  const TemporaryFolder folder;
  Write(folder / "c", Example());
  const std::string bytes = ReadFile(folder / "c");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header["__metadata__"]["format"], "innerloop-checkpoint-1");
  const auto metadata =
      nlohmann::json::parse(header["__metadata__"]["checkpoint"].get<std::string>());
  EXPECT_EQ(metadata["jobId"], "k3");
  EXPECT_EQ(metadata["spec"]["metaBatch"], 4);
  const auto values = [&](const char* name) {
    const auto begin = header[name]["data_offsets"][0].get<size_t>();
    const auto end = header[name]["data_offsets"][1].get<size_t>();
    std::vector<float> numbers((end - begin) / 4);
    std::memcpy(numbers.data(), bytes.data() + 8 + length + begin, end - begin);
    return numbers;
  };
  EXPECT_EQ(header["model.weight"]["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(header["scale"]["dtype"], "F32");
  EXPECT_THAT(values("model.weight"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(values("scale"), ElementsAre(10));
  EXPECT_THAT(values("optimizer/second_moment/model.bias"), ElementsAre(206, 207, 208));
}

TEST(Checkpoint, EveryTruncationIsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "c";
  Write(path, Example());
  const std::string bytes = ReadFile(path);
  for (size_t size = 0; size < bytes.size(); size += size < 200 ? 1 : 37) {
    WriteFile(path, bytes.substr(0, size));
    const absl::Status status = ReadCheckpoint(path).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << size << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
}

TEST(Checkpoint, EveryFlippedByteIsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "c";
  Write(path, Example());
  std::string bytes = ReadFile(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char mask = static_cast<char>(1 << i % 8);
    bytes[i] = static_cast<char>(bytes[i] ^ mask);
    WriteFile(path, bytes);
    const absl::Status status = ReadCheckpoint(path).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << i << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    bytes[i] = static_cast<char>(bytes[i] ^ mask);
  }
}

// Files whose checksum is right: made by other programs, or by an attacker.
class ForgedCheckpoint : public ::testing::Test {
 protected:
  ForgedCheckpoint() {
    path_ = folder_ / "forged";
    Checkpoint example = Example();
    EXPECT_TRUE(WriteCheckpoint(FileSystem::Real(), path_, example).ok());
    bytes_ = ReadFile(path_);
    view_ = ParseSafeTensors(bytes_, path_).value();
    view_.metadata["crc32c"] = "00000000";
  }

  // What reading says once `view_` is written with a right checksum.
  absl::Status Read() {
    SafeTensorsFile file = BuildSafeTensors(view_.tensors, view_.metadata).value();
    SealCrc32c(file);
    std::string bytes = file.header;
    for (const absl::string_view piece : file.pieces) {
      bytes.append(piece.data(), piece.size());
    }
    WriteFile(path_, bytes);
    const absl::Status status = ReadCheckpoint(path_).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
    return status;
  }

  void ReplaceInMetadata(const std::string& from, const std::string& to) {
    std::string& json = view_.metadata["checkpoint"];
    ASSERT_NE(json.find(from), std::string::npos) << json;
    json.replace(json.find(from), from.size(), to);
  }

  const TemporaryFolder folder_;
  std::string path_;
  std::string bytes_;
  SafeTensorsView view_;
};

TEST_F(ForgedCheckpoint, LacksATensor) {
  view_.tensors.pop_back();
  const absl::Status status = Read();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the tensor 'optimizer/second_moment/scale' is missing"));
}

TEST_F(ForgedCheckpoint, HasATensorTooMany) {
  view_.tensors.push_back({"optimizer/first_moment/more", ElementType::kU8, {1}, "x"});
  EXPECT_THAT(std::string(Read().message()),
              HasSubstr("state 'first_moment' has tensors that its layout lacks"));
  view_.tensors.back().name = "more";
  EXPECT_THAT(std::string(Read().message()), HasSubstr("the tensor 'more' is neither"));
  view_.tensors.back().name = "optimizer//more";
  EXPECT_THAT(std::string(Read().message()), HasSubstr("is neither"));
}

TEST_F(ForgedCheckpoint, HasStateButNoParameters) {
  view_.tensors = {{"optimizer/x/y", ElementType::kU8, {1}, "x"}};
  view_.metadata["checkpoint"] = "{}";
  EXPECT_THAT(std::string(Read().message()), HasSubstr("that its layout lacks"));
}

TEST_F(ForgedCheckpoint, HasATensorOfAnotherShape) {
  view_.tensors[0].shape = {3, 2};
  EXPECT_THAT(std::string(Read().message()), HasSubstr("'model.weight' has another type or shape"));
}

TEST_F(ForgedCheckpoint, HasAHugeLayout) {
  ReplaceInMetadata(R"("shape":["2","3"])", R"("shape":["70368744177664"])");
  EXPECT_TRUE(absl::IsInvalidArgument(Read()));
}

TEST_F(ForgedCheckpoint, HasBadMetadata) {
  ReplaceInMetadata("\"jobId\"", "\"unknown\"");
  EXPECT_THAT(std::string(Read().message()), HasSubstr("its metadata: "));
  view_.metadata["checkpoint"] = std::string(100'000, '[');
  EXPECT_TRUE(absl::IsInvalidArgument(Read()));
  view_.metadata.erase("checkpoint");
  EXPECT_THAT(std::string(Read().message()), HasSubstr("'checkpoint' is missing"));
}

TEST_F(ForgedCheckpoint, HasOtherParametersThanItsHash) {
  std::string other(view_.tensors[0].bytes);
  other[0] = static_cast<char>(other[0] ^ 1);
  view_.tensors[0].bytes = other;
  const absl::Status status = Read();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("SHA-256"));
}

TEST(Checkpoint, OtherFilesAreNoCheckpoints) {
  const TemporaryFolder folder;
  EXPECT_TRUE(absl::IsNotFound(ReadCheckpoint(folder / "none").status()));
  const SafeTensorsFile file = BuildSafeTensors({}, {}).value();
  WriteFile(folder / "other", file.header);
  const absl::Status status = ReadCheckpoint(folder / "other").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("another program wrote; one of Innerloop's format innerloop-checkpoint-1"));
}

TEST(Checkpoint, BuffersThatDoNotFitTheLayoutAreRefused) {
  const TemporaryFolder folder;
  Checkpoint checkpoint = Example();
  checkpoint.optimizer_state["velocity"] = FlatBuffer(1);
  const absl::Status status =
      WriteCheckpoint(FileSystem::Real(), folder / "c", checkpoint).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("'optimizer/velocity/' has 1 values"));
  EXPECT_THAT(FileSystem::Real().List(folder.path()).value(), ElementsAre());
}

TEST(Checkpoint, FileNamesSortByIteration) {
  EXPECT_EQ(CheckpointFileName(1200), "checkpoint-000000001200.safetensors");
  EXPECT_LT(CheckpointFileName(9), CheckpointFileName(10));
}

}  // namespace
}  // namespace innerloop
