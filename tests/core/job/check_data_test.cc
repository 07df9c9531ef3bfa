#include "core/job/check_data.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;

// Twelve classes of four one-pixel images, in groups of 6, 4 and 2 classes.
std::shared_ptr<const Dataset> Letters() {
  DatasetContent content;
  content.name = "letters";
  content.example_shape = {1, 1, 1};
  content.group_names = {"large", "middle", "small"};
  for (int c = 0; c < 12; ++c) {
    const uint32_t group = c < 6 ? 0 : c < 10 ? 1 : 2;
    content.class_names.push_back(content.group_names[group] + "/" + static_cast<char>('a' + c));
    content.class_groups.push_back(group);
    for (int i = 0; i < 4; ++i) {
      content.images.push_back(static_cast<uint8_t>(c));
      content.labels.push_back(c);
    }
  }
  const std::string path = ::testing::TempDir() + "/letters.safetensors";
  EXPECT_TRUE(WriteDataset(content, path).ok());
  return *Dataset::Open(path);
}

// Four classes of six one-pixel images, and one of two.
std::shared_ptr<const Dataset> Uneven() {
  DatasetContent content;
  content.name = "uneven";
  content.example_shape = {1, 1, 1};
  content.class_names = {"a", "b", "c", "d", "small"};
  content.labels = {0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4};
  content.images.resize(content.labels.size());
  const std::string path = ::testing::TempDir() + "/uneven.safetensors";
  EXPECT_TRUE(WriteDataset(content, path).ok());
  return *Dataset::Open(path);
}

v1::JobSpec Job(const Dataset& dataset) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_linear();
  v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
  tasks.set_dataset(dataset.name());
  tasks.set_ways(3);
  tasks.set_shots(1);
  for (const std::string& name : dataset.class_names()) {
    v1::ClassSplit::Names& names = *tasks.mutable_split()->mutable_names();
    *(name[0] == 'l' ? names.add_train() : names.add_test()) = name;
  }
  spec.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
  spec.set_meta_batch(2);
  spec.set_iterations(1);
  return spec;
}

absl::Status Check(const std::function<void(v1::JobSpec&)>& change,
                   const std::shared_ptr<const Dataset>& dataset = Letters()) {
  v1::JobSpec spec = Job(*dataset);
  change(spec);
  const v1::DataSetDescription description = dataset->Describe();
  const auto resolved = ResolveJobSpec(spec, &description);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  return CheckJobAgainstData(*resolved, *dataset);
}

TEST(CheckJobAgainstData, TakesAJobThatItsDataSuffice) {
  EXPECT_EQ(Check([](auto&) {}), absl::OkStatus());
}

TEST(CheckJobAgainstData, NamesTheSplitThatHasTooFewClasses) {
  const absl::Status status =
      Check([](v1::JobSpec& spec) { spec.mutable_tasks()->mutable_episodes()->set_ways(7); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "tasks.episodes.ways is 7; the training split of 'letters' has 6 classes");
}

TEST(CheckJobAgainstData, LooksOnlyAtSplitsThatAreUsed) {
  EXPECT_THAT(
      std::string(
          Check([](v1::JobSpec& spec) { spec.mutable_evaluation()->set_every(1); }).message()),
      HasSubstr("evaluation.periodic draws from the validation split of 'letters', which is "
                "empty: tasks.episodes.split.names.validation is empty; name some"));
}

TEST(CheckJobAgainstData, AnEmptySplitIsNamedWithTheFieldThatSetsIt) {
  const auto split = [](const std::function<void(v1::ClassSplit&)>& change) {
    return std::string(Check([&](v1::JobSpec& spec) {
                         spec.mutable_evaluation()->set_every(1);
                         change(*spec.mutable_tasks()->mutable_episodes()->mutable_split());
                       }).message());
  };
  EXPECT_THAT(split([](v1::ClassSplit& s) { s.mutable_counts()->set_train(6); }),
              HasSubstr("tasks.episodes.split.counts.validation is 0; it must be at least 1"));
  EXPECT_THAT(split([](v1::ClassSplit& s) {
                s.mutable_counts()->set_train(6);
                s.mutable_counts()->set_validation(6);
              }),
              HasSubstr("evaluation.final draws from the test split of 'letters', which is empty: "
                        "tasks.episodes.split.counts leaves nothing for it"));
  EXPECT_THAT(split([](v1::ClassSplit& s) {
                s.mutable_fractions()->set_train(0.5);
                s.mutable_fractions()->set_validation(0.01);
              }),
              HasSubstr("tasks.episodes.split.fractions.validation is 0.01; it must be larger"));
}

TEST(CheckJobAgainstData, WaysOfTheTasksAreNamedAsSuchInEvaluationsToo) {
  EXPECT_EQ(Check([](v1::JobSpec& spec) {
              v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
              tasks.mutable_split()->mutable_counts()->set_train(9);
              tasks.set_ways(5);
            }).message(),
            "tasks.episodes.ways is 5; the test split of 'letters' has 3 classes");
}

TEST(CheckJobAgainstData, ProtocolsAreHeldAgainstTheDataAlone) {
  const std::shared_ptr<const Dataset> letters = Letters();
  const v1::DataSetDescription description = letters->Describe();
  const v1::JobSpec resolved = ResolveJobSpec(Job(*letters), &description).value();
  v1::EvaluationProtocol protocol = resolved.evaluation().final();
  EXPECT_EQ(CheckProtocolAgainstData(resolved, protocol, *letters, "protocol"), absl::OkStatus());
  protocol.set_ways(500);
  EXPECT_EQ(CheckProtocolAgainstData(resolved, protocol, *letters, "protocol").message(),
            "protocol.ways is 500; the test split of 'letters' has 6 classes");
}

TEST(CheckJobAgainstData, OnlyClassesThatAreUsedNeedEnoughExamples) {
  const auto train = [](const std::vector<std::string>& classes) {
    return Check(
        [&](v1::JobSpec& spec) {
          v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
          tasks.set_ways(2);
          tasks.set_shots(3);
          v1::ClassSplit::Names& names = *tasks.mutable_split()->mutable_names();
          names.mutable_train()->Assign(classes.begin(), classes.end());
          names.clear_test();
          names.add_test("c");
          names.add_test("d");
        },
        Uneven());
  };
  EXPECT_EQ(train({"a", "b"}), absl::OkStatus());
  EXPECT_EQ(train({"a", "b", "small"}).message(),
            "tasks.episodes takes 3 shots and 1 query of each class; class 'small' of the training "
            "split of 'uneven' has 2 examples");
}

TEST(CheckJobAgainstData, RotatedTrainingClassesCountFourTimes) {
  const auto rotate = [](v1::EpisodeTasks::Rotations rotations, uint32_t ways) {
    return Check([=](v1::JobSpec& spec) {
      spec.mutable_evaluation()->set_skip_final(true);
      spec.mutable_tasks()->mutable_episodes()->set_ways(ways);
      spec.mutable_tasks()->mutable_episodes()->set_rotations(rotations);
    });
  };
  EXPECT_FALSE(rotate(v1::EpisodeTasks::ROTATIONS_AUGMENT, 12).ok());
  EXPECT_TRUE(rotate(v1::EpisodeTasks::ROTATIONS_CLASSES, 12).ok());
  // More than the whole data set has without rotations.
  EXPECT_TRUE(rotate(v1::EpisodeTasks::ROTATIONS_CLASSES, 24).ok());
  EXPECT_EQ(rotate(v1::EpisodeTasks::ROTATIONS_CLASSES, 25).message(),
            "tasks.episodes.ways is 25; the training split of 'letters' has 24 classes");
}

TEST(CheckJobAgainstData, WithinGroupsTheLargestOneDecides) {
  const absl::Status status = Check([](v1::JobSpec& spec) {
    spec.mutable_tasks()->mutable_episodes()->set_within_group(true);
    spec.mutable_tasks()->mutable_episodes()->set_ways(5);
  });
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the test split of 'letters' has 4 classes in its largest group"));
}

TEST(CheckJobAgainstData, EvaluationsAreHeldAgainstTheirOwnWays) {
  // The training split has 6 classes, the test split 6.
  const auto evaluate = [](uint32_t training_ways, uint32_t ways) {
    return Check([=](v1::JobSpec& spec) {
      spec.mutable_tasks()->mutable_episodes()->set_ways(training_ways);
      spec.mutable_tasks()->mutable_episodes()->set_rotations(
          v1::EpisodeTasks::ROTATIONS_CLASSES);  // four times the training classes
      spec.mutable_algorithm()->mutable_prototypical_networks()->set_embedding_size(2);
      spec.mutable_evaluation()->mutable_final()->set_ways(ways);
    });
  };
  EXPECT_EQ(evaluate(12, 6), absl::OkStatus());
  EXPECT_EQ(evaluate(2, 7).message(),
            "evaluation.final.ways is 7; the test split of 'letters' has 6 classes");
}

TEST(CheckJobAgainstData, AnEvaluationMayNotTakeMoreExamplesThanAClassHas) {
  const absl::Status status =
      Check([](v1::JobSpec& spec) { spec.mutable_evaluation()->mutable_final()->set_shots(4); });
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("evaluation.final takes 4 shots and 1 query of each class"));
}

}  // namespace
}  // namespace innerloop
