#include "core/meta/adaptation/export.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>
#include <unistd.h>

#include "absl/strings/str_join.h"
#include "core/tensor/safetensors.h"
#include "tests/core/meta/adaptation/own_tasks.h"
#include "tests/core/meta/script_files.h"

namespace innerloop::meta {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// What is left to rounding; the file's model computes the same sums.
constexpr double kTolerance = 1e-5;

struct Exported {
  Tensor inputs;  // [q, ...]
  Tensor logits;
  std::string file;
};

Exported ExportOf(const Program& program, const v1::JobSpec& spec,
                  v1::ExportRequest::Format format) {
  const FlatBuffer parameters = ParametersOf(program);
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  protocol.set_inner_steps(std::min(3U, protocol.inner_steps()));
  protocol.set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  const TaskBatch episode = EpisodeOf(spec, protocol, 2);
  v1::AdaptationTask task = TaskOfEpisode(episode, protocol);
  task.set_version(17);
  task.set_format(format);
  const auto output = program.Adapt(parameters, task);
  EXPECT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->result.file_bytes(), output->file.size());
  return {episode.query.inputs[0], LogitsOf(output->result.predictions()), output->file};
}

class Export : public ::testing::Test {
 protected:
  void SetUp() override { PrepareComputeThread(); }
};

class ExportByMethod : public Export, public ::testing::WithParamInterface<Method> {};
INSTANTIATE_TEST_SUITE_P(Methods, ExportByMethod, ::testing::ValuesIn(AllMethods()));

TEST_P(ExportByMethod, TheModuleInTheFileGivesTheSameOutputs) {
  const v1::JobSpec spec = JobOf(GetParam());
  const Exported exported = ExportOf(*ProgramOf(spec), spec, v1::ExportRequest::FORMAT_TORCHSCRIPT);
  std::istringstream file(exported.file);
  torch::jit::ExtraFilesMap extra = {{"innerloop.json", ""}};
  torch::jit::Module module = torch::jit::load(file, torch::kCPU, extra);
  const Tensor outputs = module.forward({exported.inputs}).toTensor();
  EXPECT_LT(LargestError(outputs, exported.logits), kTolerance);
  // One at a time, too: nothing in it depends on the batch.
  EXPECT_LT(LargestError(module.forward({exported.inputs.narrow(0, 1, 1)}).toTensor()[0],
                         exported.logits[1]),
            kTolerance);
  EXPECT_THAT(extra["innerloop.json"], HasSubstr("\"iteration\":\"17\""));
}

TEST_P(ExportByMethod, TheSafetensorsFileHoldsTheAdaptedParameters) {
  const v1::JobSpec spec = JobOf(GetParam());
  const auto program = ProgramOf(spec);
  const Exported exported = ExportOf(*program, spec, v1::ExportRequest::FORMAT_SAFETENSORS);
  const auto parsed = ParseSealed(exported.file, "innerloop-adapted-1", "file");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->metadata.at("job"), spec.name());
  EXPECT_EQ(parsed->metadata.at("iteration"), "17");
  EXPECT_EQ(parsed->metadata.at("classes"), GetParam().regression ? "0" : "3");
  EXPECT_THAT(parsed->metadata.at("rule"), HasSubstr("TRANSDUCTION_SUPPORT_STATISTICS"));
  int found = 0;
  for (const SafeTensor& tensor : parsed->tensors) {
    if (const TensorEntry* entry = program->layout().Find(tensor.name)) {
      EXPECT_EQ(tensor.shape, entry->shape);
      ++found;
    }
  }
  EXPECT_GE(found, 2);
}

TEST_F(Export, SafetensorsAreWhatTheModuleHas) {
  const v1::JobSpec spec =
      JobOf({"conv4 { filters: 4 }", "maml { inner_steps: 2 inner_optimizer { adam { } } }"});
  const auto program = ProgramOf(spec);
  const std::string tensors = ExportOf(*program, spec, v1::ExportRequest::FORMAT_SAFETENSORS).file;
  std::istringstream script(ExportOf(*program, spec, v1::ExportRequest::FORMAT_TORCHSCRIPT).file);
  const torch::jit::Module module = torch::jit::load(script);
  const auto parsed = ParseSealed(tensors, "innerloop-adapted-1", "file");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  for (const auto& [name, attribute] :
       {std::pair<std::string, std::string>{"model.conv3.weight", "conv3_weight"},
        {"model.head.bias", "head_bias"},
        {"statistics.norm4.mean", "norm4_mean"},
        {"statistics.norm1.inverse_deviation", "norm1_inverse_deviation"}}) {
    const SafeTensor* tensor = parsed->Find(name);
    ASSERT_NE(tensor, nullptr) << name;
    const Tensor values = module.attr(attribute).toTensor().contiguous();
    EXPECT_EQ(tensor->bytes,
              absl::string_view(static_cast<const char*>(values.const_data_ptr()), values.nbytes()))
        << name;
  }
}

class ExportOfOwnModel : public Export {
 protected:
  // x [n, 2, 16, 16]: images with their channels first.
  v1::JobSpec JobWith(const std::string& body) {
    WriteAffineScript(path_, kImageSize * kImageSize * 2, 3, body);
    v1::JobSpec spec = JobOf({"linear { }", "maml { inner_steps: 2 inner_optimizer { sgd { } } }"});
    spec.mutable_model()->mutable_torchscript()->set_file(path_);
    return spec;
  }
  ~ExportOfOwnModel() override { unlink(path_.c_str()); }
  const std::string path_ = absl::StrCat(::testing::TempDir(), "/own-", getpid(), ".pt");
};

TEST_F(ExportOfOwnModel, HoldsTheUsersModuleWithItsParametersAdapted) {
  const v1::JobSpec spec =
      JobWith("return torch.matmul(x[:, 0].flatten(1), self.weight[:256]) + self.bias");
  const Exported exported = ExportOf(*ProgramOf(spec), spec, v1::ExportRequest::FORMAT_TORCHSCRIPT);
  std::istringstream file(exported.file);
  torch::jit::Module module = torch::jit::load(file);
  EXPECT_LT(LargestError(module.forward({exported.inputs}).toTensor(), exported.logits),
            kTolerance);
}

TEST_F(ExportOfOwnModel, IsRefusedWhereItsPredictionsNeedTheSupportSet) {
  const v1::JobSpec spec =
      JobWith("y = torch.matmul(x.flatten(1), self.weight) + self.bias\n  return y - y.mean(0)");
  const auto program = ProgramOf(spec);
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  protocol.set_transduction(v1::TRANSDUCTION_SINGLE_QUERY);
  v1::AdaptationTask task = TaskOfEpisode(EpisodeOf(spec, protocol, 2), protocol);
  const FlatBuffer parameters = *program->Initialise();
  EXPECT_TRUE(program->Adapt(parameters, task).ok());
  task.set_format(v1::ExportRequest::FORMAT_TORCHSCRIPT);
  const absl::Status refused = program->Adapt(parameters, task).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("cannot be exported"));
  task.mutable_rule()->set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  EXPECT_THAT(std::string(program->Adapt(parameters, task).status().message()),
              HasSubstr("TRANSDUCTION_SUPPORT_STATISTICS, which is not possible"));
}

// The files of all methods, and what to expect of them, for load_adapted.py.
TEST_F(Export, PlainPythonRunsTheFiles) {
  const char* path = std::getenv("INNERLOOP_PYTORCH");
  const std::string python =
      absl::StrCat("PYTHONPATH=", path == nullptr ? "" : path, ":$PYTHONPATH python3 -W ignore ");
  if (std::system((python + "-c 'import torch' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "needs PyTorch for python3: python3 -m pip install --target DIR torch==2.11.0, "
                    "and INNERLOOP_PYTORCH=DIR";
  }
  const std::string folder = absl::StrCat(::testing::TempDir(), "/adapted-", getpid());
  ASSERT_EQ(std::system(("mkdir -p " + folder).c_str()), 0);
  int count = 0;
  for (const Method& method : AllMethods()) {
    const v1::JobSpec spec = JobOf(method);
    const Exported exported =
        ExportOf(*ProgramOf(spec), spec, v1::ExportRequest::FORMAT_TORCHSCRIPT);
    const std::string name = absl::StrCat(folder, "/", count++);
    std::ofstream(name + ".pt", std::ios::binary) << exported.file;
    // Little-endian float32, after a line with the shape.
    const auto write = [&](const std::string& suffix, const Tensor& tensor) {
      const Tensor values = tensor.contiguous();
      std::ofstream out(name + suffix, std::ios::binary);
      out << absl::StrJoin(values.sizes(), " ") << "\n";
      out.write(static_cast<const char*>(values.const_data_ptr()),
                static_cast<std::streamsize>(values.nbytes()));
    };
    write(".inputs", exported.inputs);
    write(".outputs", exported.logits);
  }
  EXPECT_EQ(
      std::system(
          (python + INNERLOOP_SOURCE_DIR "/tests/core/meta/adaptation/load_adapted.py " + folder)
              .c_str()),
      0);
  EXPECT_EQ(std::system(("rm -r " + folder).c_str()), 0);
}

}  // namespace
}  // namespace innerloop::meta
