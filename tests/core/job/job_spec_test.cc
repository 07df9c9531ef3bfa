#include "core/job/job_spec.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/file_system.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseJobSpec, ReadsTextAndJsonAlike) {
  const auto text = ParseJobSpec("seed: 3 meta_batch: 25", "a.textproto");
  const auto json = ParseJobSpec(R"({"seed": 3, "metaBatch": 25})", "a.json");
  ASSERT_TRUE(text.ok());
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(text->SerializeAsString(), json->SerializeAsString());
}

TEST(ParseJobSpec, AnUnknownFieldIsNamedWithItsPlace) {
  const auto spec = ParseJobSpec("seed: 3\nmeta_bach: 25\n", "a.textproto");
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("a.textproto:2:"));
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("meta_bach"));
}

TEST(ParseJobSpec, AnUnknownFieldInJsonIsNamed) {
  const auto spec = ParseJobSpec(R"({"metaBach": 25})", "a.json");
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("metaBach"));
}

TEST(ParseJobSpec, WhatIsKnownIsListedWhereAFieldOrValueIsNot) {
  const auto error = [](const std::string& text) {
    return std::string(ParseJobSpec(text, "job").status().message());
  };
  EXPECT_THAT(error("iteration: 3"), HasSubstr("a job has no field 'iteration'; it has name, "));
  EXPECT_THAT(error("model { mlp { hiden: 3 } }"),
              HasSubstr("job:1:20: MlpModel has no field 'hiden'; it has hidden, activation"));
  EXPECT_THAT(error("model { mlp { activation: FOO } }"),
              HasSubstr("activation has no value 'FOO'; it takes one of ACTIVATION_RELU, "));
  EXPECT_THAT(error(R"({"iteration": 3})"), HasSubstr("a job has no field 'iteration'; it has "));
  EXPECT_THAT(error(R"({"model": {"mlp": {"hiden": 3}}})"),
              HasSubstr("MlpModel has no field 'hiden'; it has hidden, activation"));
  EXPECT_THAT(error(R"({"objective": {"terms": [{}, {"wait": 3}]}})"),
              HasSubstr("ObjectiveTerm has no field 'wait'; it has weight, "));
  EXPECT_THAT(error(R"({"model": {"mlp": {"activation": "FOO"}}})"),
              HasSubstr("model.mlp.activation has no value \"FOO\"; it takes one of ACTIVATION_"));
}

TEST(ParseJobSpec, DeepNestingIsRefusedInsteadOfOverflowingTheStack) {
  const std::string deep = "{\"model\":" + std::string(100'000, '[');
  EXPECT_FALSE(ParseJobSpec(deep, "deep.json").ok());
  std::string text;
  for (int i = 0; i < 100'000; ++i) {
    text += "model {";
  }
  EXPECT_FALSE(ParseJobSpec(text, "deep.textproto").ok());
}

TEST(ExampleJobs, AllOfThemResolve) {
  v1::DataSetDescription images;
  images.set_sha256(std::string(64, 'a'));
  images.set_classes(1623);
  images.set_examples(32460);
  images.set_smallest_class(20);
  for (const int64_t size : {28, 28, 1}) {
    images.add_example_shape(size);
  }
  int jobs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(INNERLOOP_JOBS_DIR)) {
    if (entry.path().extension() != ".textproto") {
      continue;
    }
    const std::string path = entry.path().string();
    const auto text = FileSystem::Real().Read(path);
    ASSERT_TRUE(text.ok()) << text.status();
    auto spec = ParseJobSpec(*text, path);
    ASSERT_TRUE(spec.ok()) << spec.status();
    const absl::Status lists = LoadSplitFiles(*spec, entry.path().parent_path().string());
    ASSERT_TRUE(lists.ok()) << path << ": " << lists;
    const auto resolved = ResolveJobSpec(*spec, spec->tasks().has_episodes() ? &images : nullptr);
    EXPECT_TRUE(resolved.ok()) << path << ": " << resolved.status();
    ++jobs;
  }
  EXPECT_GE(jobs, 14);
}

TEST(LoadSplitFiles, TakesClassNamesWithoutRotations) {
  const std::string folder = ::testing::TempDir();
  std::ofstream(folder + "/train.txt") << "Latin/character01/rot000\nLatin/character01/rot090\n\n"
                                       << "Greek/character02\r\n";
  v1::JobSpec spec;
  spec.mutable_tasks()->mutable_episodes()->mutable_split()->mutable_files()->set_train(
      "train.txt");
  ASSERT_TRUE(LoadSplitFiles(spec, folder).ok());
  EXPECT_THAT(spec.tasks().episodes().split().names().train(),
              ElementsAre("Latin/character01", "Greek/character02"));
}

TEST(LoadSplitFiles, CutsNothingElseOffClassNames) {
  const std::string folder = ::testing::TempDir();
  std::ofstream(folder + "/names.txt") << "dogs/rottweiler\ndogs/rot\ndogs/rot90\ndogs/rot1800\n"
                                       << "dogs/rot0x0\nrot000\na/rot090/b\na/rot090/b/rot270\n";
  v1::JobSpec spec;
  spec.mutable_tasks()->mutable_episodes()->mutable_split()->mutable_files()->set_train(
      "names.txt");
  ASSERT_TRUE(LoadSplitFiles(spec, folder).ok());
  EXPECT_THAT(spec.tasks().episodes().split().names().train(),
              ElementsAre("dogs/rottweiler", "dogs/rot", "dogs/rot90", "dogs/rot1800",
                          "dogs/rot0x0", "rot000", "a/rot090/b"));
}

TEST(LoadSplitFiles, AMissingFileIsNamed) {
  v1::JobSpec spec;
  spec.mutable_tasks()->mutable_episodes()->mutable_split()->mutable_files()->set_train("nope.txt");
  const absl::Status status = LoadSplitFiles(spec, "/nowhere");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/nope.txt"));
}

TEST(SpecDifferences, WhatDecidesNoBitsMayDiffer) {
  v1::JobSpec a;
  a.set_iterations(100);
  a.set_seed(1);
  v1::JobSpec b = a;
  b.set_iterations(200);
  b.set_name("another");
  b.mutable_evaluation()->set_every(5);
  b.mutable_checkpoint()->set_keep(7);
  b.mutable_limits()->set_max_seconds(10);
  b.set_weight(2);
  b.add_published()->set_source("a paper");
  EXPECT_TRUE(SpecDifferences(a, b).empty());
  b.mutable_non_finite()->set_max_consecutive(3);
  EXPECT_EQ(SpecDifferences(a, b).size(), 1);
}

TEST(SpecDifferences, NamesEachFieldWithBothValues) {
  v1::JobSpec a;
  a.set_seed(1);
  a.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
  v1::JobSpec b = a;
  b.set_seed(2);
  b.mutable_algorithm()->mutable_maml()->set_inner_steps(5);
  EXPECT_THAT(SpecDifferences(a, b),
              ElementsAre("seed: 1 against 2", "algorithm.maml.inner_steps: 1 against 5"));
}

TEST(Part, CoversAllItemsOnceWithSizesThatDifferByAtMostOne) {
  for (uint64_t items = 1; items <= 70; ++items) {
    for (uint64_t most = 1; most <= items; ++most) {
      uint64_t next = 0;
      uint64_t smallest = UINT64_MAX;
      uint64_t largest = 0;
      for (uint64_t i = 0; i < PartCount(items, most); ++i) {
        const TaskRange part = Part(items, most, i);
        ASSERT_EQ(part.first, next);
        next = part.last;
        smallest = std::min(smallest, part.last - part.first);
        largest = std::max(largest, part.last - part.first);
      }
      ASSERT_EQ(next, items);
      ASSERT_LE(largest, most);
      ASSERT_LE(largest - smallest, 1);
    }
  }
}

}  // namespace
}  // namespace innerloop
