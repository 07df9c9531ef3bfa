// A user's model in a process of its own: what it computes, and how it may fail.
#include "worker/model_program.h"

#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "tests/integration/script_job.h"
#include "worker/model_service.h"

namespace innerloop::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Processes of models that this one started.
std::vector<pid_t> ModelProcesses() {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) {
      continue;
    }
    std::ifstream command(entry.path() / "cmdline");
    const std::string words{std::istreambuf_iterator<char>(command), {}};
    std::ifstream status(entry.path() / "status");
    const std::string lines{std::istreambuf_iterator<char>(status), {}};
    if (absl::StrContains(words, kModelProcessFlag) &&
        absl::StrContains(lines, absl::StrCat("PPid:\t", getpid(), "\n"))) {
      found.push_back(pid);
    }
  }
  return found;
}

class ModelProgramTest : public ::testing::Test {
 protected:
  ModelProgramTest() { meta::PrepareComputeThread(); }

  // With lines of its forward's body, and a limit in seconds.
  void Make(const std::string& extra = "", double seconds = 60) {
    const std::string file = folder_ / "model.pt";
    integration::WritePerceptron(file, extra);
    const std::string content = ReadFile(file);
    absl::StatusOr<v1::JobSpec> spec = ParseJobSpec(
        integration::ScriptJob(
            absl::StrCat("sha256: '", Sha256::Hex(content), "' bytes: ", content.size()),
            /*iterations=*/1),
        "job");
    ASSERT_TRUE(spec.ok()) << spec.status();
    spec->mutable_limits()->set_shard_timeout_seconds(seconds);
    spec = ResolveJobSpec(*spec, nullptr);
    ASSERT_TRUE(spec.ok()) << spec.status();
    spec_ = *spec;
    spec_.mutable_model()->mutable_torchscript()->set_file(file);
    v1::JobDescription job;
    *job.mutable_spec() = spec_;
    made_ = ModelProgram::Create(
        job, {.model = file}, nullptr, UINT64_MAX,
        {.program = INNERLOOP_BIN_DIR "/innerloop-worker", .memory_bytes = uint64_t{3} << 30});
  }
  // Parameters that a forward may take for a signal.
  FlatBuffer Odd() const {
    FlatBuffer parameters = *(*made_)->Initialise();
    parameters.data()[0] = 1e6F;
    return parameters;
  }
  absl::Status RunWith(const FlatBuffer& parameters) const {
    return (*made_)->RunShard(parameters, Tasks()).status();
  }
  static v1::Shard Tasks() {
    v1::Shard shard;
    shard.set_last_task(2);
    return shard;
  }
  void ExpectThatItGoesOn() const {
    EXPECT_TRUE(RunWith(*(*made_)->Initialise()).ok());
    EXPECT_THAT(ModelProcesses(), SizeIs(1));
  }

  const TemporaryFolder folder_;
  v1::JobSpec spec_;
  absl::StatusOr<std::unique_ptr<meta::Program>> made_;
};

constexpr char kWhenOdd[] = "  if bool((self.w1.abs().sum() > 1e5).item()):\n";

TEST_F(ModelProgramTest, ComputesTheBitsThatThisProcessComputes) {
  Make();
  ASSERT_TRUE(made_.ok()) << made_.status();
  const auto here = meta::Program::Create(spec_, nullptr);
  ASSERT_TRUE(here.ok()) << here.status();
  const absl::StatusOr<FlatBuffer> parameters = (*here)->Initialise();
  const absl::StatusOr<FlatBuffer> theirs = (*made_)->Initialise();
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  EXPECT_EQ(std::vector<float>(theirs->values().begin(), theirs->values().end()),
            std::vector<float>(parameters->values().begin(), parameters->values().end()));

  const auto expected = (*here)->RunShard(*parameters, Tasks());
  const auto actual = (*made_)->RunShard(*parameters, Tasks());
  ASSERT_TRUE(actual.ok()) << actual.status();
  EXPECT_EQ(std::vector<float>(actual->update.values().begin(), actual->update.values().end()),
            std::vector<float>(expected->update.values().begin(), expected->update.values().end()));
  EXPECT_EQ(actual->metrics.meta_loss(), expected->metrics.meta_loss());

  v1::EvaluationShard episodes;
  *episodes.mutable_protocol() = spec_.evaluation().final();
  episodes.set_last_episode(3);
  EXPECT_EQ((*made_)->RunEvaluation(*parameters, episodes)->SerializeAsString(),
            (*here)->RunEvaluation(*parameters, episodes)->SerializeAsString());
}

TEST_F(ModelProgramTest, AdaptsAndMakesTheFileThatThisProcessMakes) {
  Make();
  ASSERT_TRUE(made_.ok()) << made_.status();
  const auto here = meta::Program::Create(spec_, nullptr);
  ASSERT_TRUE(here.ok()) << here.status();
  const absl::StatusOr<FlatBuffer> parameters = (*here)->Initialise();
  v1::AdaptationTask task;
  v1::Examples& inputs = *task.mutable_support()->mutable_inputs();
  inputs.add_shape(1);
  for (const float x : {-1.0F, 0.5F, 2.0F}) {
    inputs.mutable_float32()->append(reinterpret_cast<const char*>(&x), sizeof(x));
    task.mutable_support()->add_targets(x * x);
  }
  *task.mutable_queries() = inputs;
  task.mutable_rule()->set_inner_steps(2);
  task.mutable_rule()->set_transduction(v1::TRANSDUCTION_ALL_QUERIES);
  task.set_format(v1::ExportRequest::FORMAT_SAFETENSORS);
  const auto expected = (*here)->Adapt(*parameters, task);
  ASSERT_TRUE(expected.ok()) << expected.status();
  const auto actual = (*made_)->Adapt(*parameters, task);
  ASSERT_TRUE(actual.ok()) << actual.status();
  EXPECT_EQ(actual->result.SerializeAsString(), expected->result.SerializeAsString());
  EXPECT_EQ(actual->file, expected->file);
  task.set_format(v1::ExportRequest::FORMAT_TORCHSCRIPT);
  const auto script = (*made_)->Adapt(*parameters, task);
  ASSERT_TRUE(script.ok()) << script.status();
  EXPECT_EQ(script->file.size(), script->result.file_bytes());
  EXPECT_GT(script->file.size(), 1000U);
}

TEST_F(ModelProgramTest, TooMuchMemoryFailsTheItemNamingTheLimit) {
  Make(absl::StrCat(kWhenOdd, "    x = x + torch.zeros([2000000000]).sum()\n"));
  ASSERT_TRUE(made_.ok()) << made_.status();
  const absl::Status status = RunWith(Odd());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--model-memory"));
  ExpectThatItGoesOn();
}

TEST_F(ModelProgramTest, AForwardThatNeverEndsIsEndedAtTheLimit) {
  // Long enough for a process to start on a busy machine.
  Make(absl::StrCat(kWhenOdd, "    while bool((x.sum() < 1e30).item()):\n      x = x * 1.0\n"), 8);
  ASSERT_TRUE(made_.ok()) << made_.status();
  const absl::Status status = RunWith(Odd());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("limits.shard_timeout_seconds"));
  EXPECT_THAT(ModelProcesses(), SizeIs(0));
  ExpectThatItGoesOn();
}

TEST_F(ModelProgramTest, AProcessThatDiesFailsTheItemSayingHow) {
  Make();
  ASSERT_TRUE(made_.ok()) << made_.status();
  ASSERT_THAT(ModelProcesses(), SizeIs(1));
  kill(ModelProcesses()[0], SIGABRT);
  const FlatBuffer parameters((*made_)->layout().flat_size());
  const absl::Status status = RunWith(parameters);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the process that runs the model was killed by signal 6 (Aborted)"));
  ExpectThatItGoesOn();
}

TEST_F(ModelProgramTest, AForwardThatRaisesFailsTheItemWithItsReason) {
  Make(absl::StrCat(kWhenOdd, "    assert False, \"odd weights\"\n"));
  ASSERT_TRUE(made_.ok()) << made_.status();
  const absl::Status status = RunWith(Odd());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("odd weights"));
  ExpectThatItGoesOn();
}

TEST_F(ModelProgramTest, AModelCannotWriteFiles) {
  const std::string path = folder_ / "written";
  Make(absl::StrCat(kWhenOdd, "    torch.save(x, \"", path, "\")\n"));
  ASSERT_TRUE(made_.ok()) << made_.status();
  EXPECT_FALSE(RunWith(Odd()).ok());
  EXPECT_EQ(ReadFile(path), "");
  // It could, elsewhere.
  const auto here = meta::Program::Create(spec_, nullptr);
  ASSERT_TRUE(here.ok()) << here.status();
  EXPECT_TRUE((*here)->RunShard(Odd(), Tasks()).ok());
  EXPECT_NE(ReadFile(path), "");
}

TEST_F(ModelProgramTest, WhatTheModuleIsRefusedForIsSaidAtTheStart) {
  Make("  x = torch.matmul(x, torch.ones([5, 5]))\n");
  EXPECT_EQ(made_.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(made_.status().message()), HasSubstr("cannot be multiplied"));
}

}  // namespace
}  // namespace innerloop::worker
