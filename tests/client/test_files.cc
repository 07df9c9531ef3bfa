#include "tests/client/test_files.h"

#include <filesystem>
#include <sstream>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/command_line.h"
#include "core/checkpoint/checkpoint.h"
#include "core/dataset/dataset.h"
#include "core/job/job_spec.h"

namespace innerloop::client {

std::string TestFolder::Write(const std::string& name, const std::string& text) const {
  std::string full = path() + "/" + name;
  WriteFile(full, text);
  return full;
}

std::string TestFolder::WriteProgram(const std::string& name, const std::string& text) const {
  std::string full = Write(name, "#!/bin/bash\n" + text);
  std::filesystem::permissions(full, std::filesystem::perms::owner_all);
  return full;
}

std::string SinusoidJob() {
  return R"(
    name: "waves"
    model { mlp { hidden: [8] } }
    tasks { sinusoid { shots: 5 } }
    algorithm { maml { inner_steps: 1 } }
    meta_batch: 4
    iterations: 100
  )";
}

std::string DigitsJob() {
  return R"(
    model { mlp { hidden: [8] } }
    tasks { episodes { dataset: "digits" ways: 2 shots: 1 split { counts { train: 2 test: 2 } } } }
    algorithm { maml { inner_steps: 1 } }
    meta_batch: 4
    iterations: 100
  )";
}

void WriteDigits(const std::string& path) {
  DatasetContent content{.name = "digits",
                         .example_shape = {2, 2, 1},
                         .class_names = {"a/0", "a/1", "b/0", "b/1"},
                         .class_groups = {0, 0, 1, 1},
                         .group_names = {"a", "b"},
                         .preparation = {"size=2"}};
  for (int i = 0; i < 40; ++i) {
    content.labels.push_back(i / 10);
    content.images.insert(content.images.end(), 4, static_cast<uint8_t>(i));
  }
  ASSERT_TRUE(WriteDataset(content, path).ok());
}

void WriteSmallCheckpoint(const std::string& path) {
  v1::ParameterLayout proto;
  auto* weight = proto.add_tensors();
  weight->set_name("model.weight");
  weight->add_shape(2);
  weight->add_shape(2);
  proto.add_tensors()->set_name("model.scale");
  Checkpoint checkpoint;
  checkpoint.layout = *Layout::Create(proto);
  checkpoint.parameters = FlatBuffer(checkpoint.layout.flat_size());
  checkpoint.parameters.data()[0] = 0.5F;
  checkpoint.metadata.set_job_id("j1");
  checkpoint.metadata.set_iteration(7);
  *checkpoint.metadata.mutable_spec() =
      *ResolveJobSpec(*ParseJobSpec(SinusoidJob(), "job"), nullptr);
  ASSERT_TRUE(WriteCheckpoint(FileSystem::Real(), path, checkpoint).ok());
}

Outcome RunProgram(const std::vector<std::string>& arguments, const std::string& program_folder) {
  std::ostringstream out;
  std::ostringstream err;
  Surroundings surroundings{.out = out, .err = err, .program_folder = program_folder};
  std::vector<const char*> argv = {"innerloop"};
  for (const std::string& argument : arguments) {
    argv.push_back(argument.c_str());
  }
  const int code = RunClient(static_cast<int>(argv.size()), argv.data(), surroundings);
  return {code, out.str(), err.str()};
}

}  // namespace innerloop::client
