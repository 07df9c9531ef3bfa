// Jobs on grouped data: their fields, and what their data set must have.
#include <functional>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/check_data.h"
#include "core/job/doubts.h"
#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Eight users with 2, 3, .. 9 examples of one feature and one target.
std::shared_ptr<const Dataset> Users() {
  DatasetContent content;
  content.name = "users";
  content.example_shape = {1};
  content.target_size = 1;
  for (int g = 0; g < 8; ++g) {
    content.group_names.push_back(std::string("user") + static_cast<char>('a' + g));
    for (int i = 0; i < g + 2; ++i) {
      content.features.push_back(0);
      content.targets.push_back(0);
      content.groups.push_back(g);
    }
  }
  const std::string path = ::testing::TempDir() + "/users.safetensors";
  EXPECT_TRUE(WriteDataset(content, path).ok());
  return *Dataset::Open(path);
}

v1::JobSpec Job() {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_linear();
  v1::GroupedTasks& tasks = *spec.mutable_tasks()->mutable_grouped();
  tasks.set_dataset("users");
  tasks.set_shots(1);
  tasks.mutable_split()->mutable_names()->add_train("user*");
  tasks.set_small_groups(v1::GroupedTasks::SMALL_GROUPS_SKIP);
  spec.mutable_algorithm()->mutable_pretraining();
  spec.mutable_evaluation()->set_skip_final(true);
  spec.set_meta_batch(2);
  spec.set_iterations(1);
  return spec;
}

absl::StatusOr<v1::JobSpec> Resolve(const std::function<void(v1::JobSpec&)>& change) {
  const std::shared_ptr<const Dataset> users = Users();
  v1::JobSpec spec = Job();
  change(spec);
  const v1::DataSetDescription description = users->Describe();
  absl::StatusOr<v1::JobSpec> resolved = ResolveJobSpec(spec, &description);
  if (!resolved.ok()) {
    return resolved;
  }
  const absl::Status checked = CheckJobAgainstData(*resolved, *users);
  return checked.ok() ? resolved : checked;
}

std::string ErrorOf(const std::function<void(v1::JobSpec&)>& change) {
  const absl::Status status = Resolve(change).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(GroupedJob, TakesItsDefaultsFromTheDataSet) {
  const v1::JobSpec resolved = Resolve([](auto&) {}).value();
  EXPECT_EQ(resolved.tasks().grouped().queries(), 1U);
  EXPECT_EQ(resolved.loss().kind(), v1::LossSpec::KIND_MSE);
  EXPECT_EQ(resolved.tasks().grouped().dataset_sha256().size(), 64U);
  EXPECT_EQ(resolved.name(), "pretraining-users");
  EXPECT_TRUE(resolved.algorithm().pretraining().inner_optimizer().has_sgd());
  v1::JobSpec unset = Job();
  unset.mutable_tasks()->mutable_grouped()->clear_small_groups();
  EXPECT_EQ(ResolveJobSpec(unset, nullptr).value().tasks().grouped().small_groups(),
            v1::GroupedTasks::SMALL_GROUPS_REFUSE);
}

TEST(GroupedJob, SmallGroupsAreCountedAndNamed) {
  EXPECT_EQ(ErrorOf([](v1::JobSpec& spec) {
              v1::GroupedTasks& tasks = *spec.mutable_tasks()->mutable_grouped();
              tasks.set_small_groups(v1::GroupedTasks::SMALL_GROUPS_REFUSE);
              tasks.set_shots(4);
              tasks.set_queries(3);
            }),
            "tasks.grouped takes 4 shots and 3 queries of a group; 5 of 8 groups of the training "
            "split of 'users' have fewer: 'usera' (2 examples), 'userb' (3), 'userc' (4) and 2 "
            "more; small_groups can be SMALL_GROUPS_SKIP or SMALL_GROUPS_PAD");
}

TEST(GroupedJob, SplitsWithoutUsableGroupsAreRefused) {
  EXPECT_EQ(
      ErrorOf([](v1::JobSpec& spec) { spec.mutable_tasks()->mutable_grouped()->set_shots(20); }),
      "tasks.grouped: none of the 8 groups of the training split of 'users' has the 40 "
      "examples that 20 shots and 20 queries need");
  EXPECT_THAT(
      ErrorOf([](v1::JobSpec& spec) { spec.mutable_evaluation()->set_every(1); }),
      HasSubstr("evaluation.periodic draws from the validation split of 'users', which is empty"));
  EXPECT_THAT(
      ErrorOf([](v1::JobSpec& spec) {
        spec.mutable_evaluation()->set_skip_final(false);
        spec.mutable_tasks()->mutable_grouped()->mutable_split()->mutable_counts()->set_train(8);
      }),
      HasSubstr("which is empty: tasks.grouped.split.counts leaves nothing for it"));
}

TEST(GroupedJob, GroupsThatAreLeftOutAreCounted) {
  const std::shared_ptr<const Dataset> users = Users();
  const auto doubts = [&](uint32_t shots) {
    const v1::JobSpec resolved = Resolve([shots](v1::JobSpec& spec) {
                                   spec.mutable_tasks()->mutable_grouped()->set_shots(shots);
                                   spec.mutable_tasks()->mutable_grouped()->set_queries(3);
                                 }).value();
    return DoubtsAbout(resolved, &*users);
  };
  EXPECT_THAT(
      doubts(4),
      ElementsAre("tasks.grouped.small_groups leaves out 5 of 8 training groups of 'users', "
                  "which have fewer than 4 shots and 3 queries need"));
}

TEST(GroupedJob, ReptilesOwnShotsCount) {
  EXPECT_THAT(ErrorOf([](v1::JobSpec& spec) {
                spec.mutable_algorithm()->mutable_reptile()->set_inner_steps(1);
                spec.mutable_algorithm()->mutable_reptile()->set_train_shots(9);
              }),
              HasSubstr("has the 10 examples that 9 shots and 1 query need"));
}

TEST(GroupedJob, PaddingNeedsTwoExamplesAndNothingThatWouldCountIt) {
  const auto pad = [](v1::JobSpec& spec) {
    v1::GroupedTasks& tasks = *spec.mutable_tasks()->mutable_grouped();
    tasks.set_small_groups(v1::GroupedTasks::SMALL_GROUPS_PAD);
    tasks.set_shots(1000);
  };
  EXPECT_TRUE(Resolve(pad).ok());
  EXPECT_THAT(ErrorOf([&](v1::JobSpec& spec) {
                pad(spec);
                spec.mutable_model()->mutable_mlp()->set_batch_norm(true);
              }),
              HasSubstr("SMALL_GROUPS_PAD, whose empty places batch norm would count"));
  EXPECT_THAT(
      ErrorOf([&](v1::JobSpec& spec) {
        pad(spec);
        spec.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
        spec.mutable_objective()->add_terms()->mutable_contrastive();
      }),
      HasSubstr("SMALL_GROUPS_PAD, which may leave a contrastive term's second support set"));
  EXPECT_THAT(ErrorOf([&](v1::JobSpec& spec) {
                pad(spec);
                spec.mutable_algorithm()->mutable_reptile()->set_inner_steps(1);
                spec.mutable_algorithm()->mutable_reptile()->set_inner_batch(2);
              }),
              HasSubstr("SMALL_GROUPS_PAD, whose empty places algorithm.reptile.inner_batch"));
}

TEST(GroupedJob, FieldsAreCheckedBeforeTheDataSetIsKnown) {
  const auto error = [](const std::function<void(v1::GroupedTasks&)>& change) {
    v1::JobSpec spec = Job();
    change(*spec.mutable_tasks()->mutable_grouped());
    return std::string(ResolveJobSpec(spec, nullptr).status().message());
  };
  EXPECT_EQ(error([](auto& t) { t.clear_dataset(); }),
            "tasks.grouped.dataset is missing; name a data set");
  EXPECT_EQ(error([](auto& t) { t.clear_shots(); }),
            "tasks.grouped.shots is 0; it must be 1 to 100000");
  EXPECT_EQ(error([](auto& t) { t.clear_split(); }),
            "tasks.grouped.split is missing; choose counts, fractions, names, files or stored");
  EXPECT_EQ(error([](auto& t) { t.mutable_split()->mutable_counts(); }),
            "tasks.grouped.split.counts.train is 0; training needs groups");
}

TEST(GroupedJob, DataSetsOfAnotherKindAreRefused) {
  v1::DataSetDescription classes;
  classes.set_classes(20);
  classes.set_groups(3);
  classes.set_smallest_class(5);
  classes.add_example_shape(4);
  EXPECT_THAT(std::string(ResolveJobSpec(Job(), &classes).status().message()),
              HasSubstr("'users' has no group for each example; import it with --group"));
  EXPECT_THAT(ErrorOf([](v1::JobSpec& spec) {
                spec.mutable_tasks()->mutable_grouped()->set_stratified(true);
              }),
              HasSubstr("stratified is for classes; 'users' has numeric targets"));
  EXPECT_THAT(
      ErrorOf([](v1::JobSpec& spec) {
        spec.mutable_tasks()->mutable_grouped()->mutable_split()->mutable_counts()->set_train(9);
      }),
      HasSubstr("tasks.grouped.split.counts adds up to 9 groups; 'users' has 8"));
  EXPECT_THAT(ErrorOf([](v1::JobSpec& spec) {
                v1::EpisodeTasks& tasks = *spec.mutable_tasks()->mutable_episodes();
                tasks.set_dataset("users");
                tasks.set_ways(2);
                tasks.set_shots(1);
                tasks.mutable_split()->mutable_counts()->set_train(2);
              }),
              HasSubstr("'users' is sorted by group, not by class; take tasks.grouped"));
}

}  // namespace
}  // namespace innerloop
