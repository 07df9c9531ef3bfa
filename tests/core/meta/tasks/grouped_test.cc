#include "core/meta/tasks/grouped.h"

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/meta/objectives/inner_loops.h"
#include "google/protobuf/text_format.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

using ::testing::HasSubstr;

// Group g of 8 has 3 g + 1 examples. An example's feature is its index, its second feature its
// group; its class is 0, but 1 for every third.
std::shared_ptr<const Dataset> Groups(bool targets) {
  DatasetContent content;
  content.name = "groups";
  content.example_shape = {2};
  for (int g = 0; g < 8; ++g) {
    content.group_names.push_back(absl::StrCat("g", g));
    for (int i = 0; i < 3 * g + 1; ++i) {
      content.features.push_back(static_cast<float>(content.groups.size()));
      content.features.push_back(static_cast<float>(g));
      if (targets) {
        content.targets.push_back(static_cast<float>(content.groups.size()));
        content.targets.push_back(-1);
      } else {
        content.labels.push_back(content.groups.size() % 3 == 0 ? 1 : 0);
      }
      content.groups.push_back(g);
    }
  }
  content.target_size = targets ? 2 : 0;
  content.class_names = targets ? std::vector<std::string>() : std::vector<std::string>{"a", "b"};
  const std::string path = absl::StrCat(::testing::TempDir(), "/groups-", getpid());
  EXPECT_TRUE(WriteDataset(content, path).ok());
  auto dataset = Dataset::Open(path);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  unlink(path.c_str());  // stays mapped
  return *std::move(dataset);
}

std::unique_ptr<TaskSource> Source(const std::string& text, bool targets = false) {
  v1::TaskSource spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("grouped { dataset: 'groups' ", text, " }"), &spec));
  auto source = CreateTaskSource(spec, Groups(targets));
  EXPECT_TRUE(source.ok()) << source.status();
  return source.ok() ? *std::move(source) : nullptr;
}

constexpr char kAll[] = "split { counts { train: 8 } } ";
constexpr TaskKey kKey{.seed = 3, .split = v1::SPLIT_TRAIN, .iteration = 7};

// Indices of the examples of task `t`.
std::vector<int64_t> Indices(const Examples& examples, int64_t t) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < examples.count(); ++i) {
    indices.push_back(examples.inputs[t][i][0].item<float>());
  }
  return indices;
}

TEST(GroupedSource, TasksTakeDifferentExamplesOfOneGroupWithTheirTargets) {
  for (const bool targets : {false, true}) {
    const auto source =
        Source(absl::StrCat(kAll, "shots: 3 queries: 4 small_groups: SMALL_GROUPS_SKIP"), targets);
    EXPECT_EQ(source->shape().outputs, 2);
    EXPECT_EQ(source->shape().classification, !targets);
    const TaskBatch tasks = source->Sample(kKey, 0, 300, source->sizes());
    EXPECT_FALSE(tasks.support.weights.defined());
    std::map<int, int> tasks_of_group;
    for (int64_t t = 0; t < 300; ++t) {
      std::set<int64_t> different;
      std::set<int> groups;
      for (const Examples* part : {&tasks.support, &tasks.query}) {
        const std::vector<int64_t> indices = Indices(*part, t);
        for (int64_t i = 0; i < part->count(); ++i) {
          const int64_t index = indices[static_cast<size_t>(i)];
          different.insert(index);
          groups.insert(part->inputs[t][i][1].item<int>());
          if (targets) {
            EXPECT_EQ(part->targets[t][i][0].item<float>(), static_cast<float>(index));
            EXPECT_EQ(part->targets[t][i][1].item<float>(), -1);
          } else {
            EXPECT_EQ(part->targets[t][i].item<int64_t>(), index % 3 == 0 ? 1 : 0);
          }
        }
      }
      EXPECT_EQ(different.size(), 7U);
      ASSERT_EQ(groups.size(), 1U);
      ++tasks_of_group[*groups.begin()];
    }
    // Groups 2 to 7 have seven examples or more; each is as likely as the others, whatever its size
    // (50 expected, standard deviation 6.5).
    EXPECT_EQ(tasks_of_group.size(), 6U);
    EXPECT_EQ(tasks_of_group.begin()->first, 2);
    for (const auto& [group, count] : tasks_of_group) {
      EXPECT_NEAR(count, 50, 5 * 6.5) << group;
    }
  }
}

TEST(GroupedSource, ATaskIsTheSameInEveryBatch) {
  for (const char* options :
       {"small_groups: SMALL_GROUPS_PAD", "small_groups: SMALL_GROUPS_SKIP",
        "small_groups: SMALL_GROUPS_PAD stratified: true standardise: true"}) {
    const auto source = Source(absl::StrCat(kAll, "shots: 4 queries: 3 ", options));
    const TaskBatch together = source->Sample(kKey, 0, 9, source->sizes());
    for (uint64_t t = 0; t < 9; ++t) {
      const TaskBatch alone = source->Sample(kKey, t, t + 1, source->sizes());
      const auto at = static_cast<int64_t>(t);
      EXPECT_TRUE(torch::equal(alone.support.inputs[0], together.support.inputs[at]));
      EXPECT_TRUE(torch::equal(alone.support.targets[0], together.support.targets[at]));
      EXPECT_TRUE(torch::equal(alone.query.inputs[0], together.query.inputs[at]));
      EXPECT_TRUE(torch::equal(alone.query.targets[0], together.query.targets[at]));
      if (together.query.weights.defined()) {
        EXPECT_TRUE(torch::equal(alone.query.weights[0], together.query.weights[at]));
      }
    }
  }
}

TEST(GroupedSource, TheSupportSetTakesTheFirstExamplesOfOneOrder) {
  const auto source = Source(absl::StrCat("split { names { train: 'g7' } } shots: 4 queries: 3"));
  const TaskBatch some = source->Sample(kKey, 0, 5, source->sizes());
  const TaskBatch others = source->Sample(kKey, 0, 5, {.ways = 1, .shots = 1, .queries = 6});
  const auto joined = [](const TaskBatch& tasks) {
    return torch::cat({tasks.support.inputs, tasks.query.inputs}, 1);
  };
  EXPECT_TRUE(torch::equal(joined(some), joined(others)));
}

TEST(GroupedSource, SplitsShareNoGroup) {
  const auto source = Source(
      "split { counts { train: 4 validation: 2 test: 2 } } shots: 2 queries: 2 "
      "small_groups: SMALL_GROUPS_PAD");
  std::map<int, v1::Split> split_of;
  for (const v1::Split split : {v1::SPLIT_TRAIN, v1::SPLIT_VALIDATION, v1::SPLIT_TEST}) {
    const TaskBatch tasks =
        source->Sample({.seed = 1, .split = split, .iteration = 0}, 0, 50, source->sizes());
    for (int64_t t = 0; t < 50; ++t) {
      const int group = tasks.support.inputs[t][0][1].item<int>();
      EXPECT_EQ(split_of.emplace(group, split).first->second, split);
    }
  }
  EXPECT_EQ(split_of.size(), 7U);  // all but the group of one example
}

TEST(GroupedSource, PaddingStandsBehindTheExamplesAndWeighsNothing) {
  const auto source =
      Source(absl::StrCat(kAll, "shots: 5 queries: 3 small_groups: SMALL_GROUPS_PAD"));
  const TaskBatch tasks = source->Sample(kKey, 0, 100, source->sizes());
  for (int64_t t = 0; t < 100; ++t) {
    const int group = tasks.support.inputs[t][0][1].item<int>();
    const int64_t examples = 3 * group + 1;
    const int64_t support = std::min<int64_t>(5, examples - 1);
    const int64_t queries = std::min<int64_t>(3, examples - support);
    EXPECT_GE(group, 1);
    for (const auto& [part, count] :
         {std::pair(&tasks.support, support), {&tasks.query, queries}}) {
      const Tensor expected = (torch::arange(part->count()) < count).to(torch::kFloat);
      EXPECT_TRUE(torch::equal(part->weights[t], expected)) << t;
      EXPECT_TRUE((part->inputs[t].slice(0, count) == 0).all().item<bool>());
    }
    const std::vector<int64_t> indices = Indices(tasks.support, t);
    EXPECT_EQ(std::set<int64_t>(indices.begin(), indices.begin() + support).size(),
              static_cast<size_t>(support));
  }
}

// What padding holds changes neither updates nor measures: those of a task without its padding, but
// for rounding.
TEST(GroupedSource, PaddingInfluencesNothing) {
  const auto source = Source(absl::StrCat(kAll,
                                          "shots: 5 queries: 3 small_groups: SMALL_GROUPS_PAD "
                                          "standardise: true"));
  TaskBatch tasks = source->Sample(kKey, 0, 20, source->sizes());
  for (Examples* part : {&tasks.support, &tasks.query}) {
    part->inputs = part->inputs.to(torch::kDouble);
  }
  for (const char* method : {"maml { inner_steps: 2 }", "maml { inner_steps: 2 order: ORDER_HVP }",
                             "reptile { inner_steps: 2 }", "pretraining {}"}) {
    const auto algorithm =
        MakeAlgorithm("mlp { hidden: 5 activation: ACTIVATION_TANH }", method, source->shape());
    torch::manual_seed(1);
    const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
    TaskSums sums;
    const Tensor updates = Flatten(UpdatesOf(*algorithm, theta, tasks, &sums));
    Tensors expected = ZerosLike(theta);
    TaskSums expected_sums;
    for (int64_t t = 0; t < tasks.tasks(); ++t) {
      const auto without = [t](const Examples& examples) {
        const auto count = examples.weights[t].sum().item<int64_t>();
        return Examples{.inputs = examples.inputs.narrow(0, t, 1).narrow(1, 0, count),
                        .targets = examples.targets.narrow(0, t, 1).narrow(1, 0, count)};
      };
      const TaskBatch task{.key = tasks.key,
                           .first_task = static_cast<uint64_t>(t),
                           .support = without(tasks.support),
                           .query = without(tasks.query)};
      algorithm->AddUpdates(theta, task, /*detailed=*/false, expected, expected_sums);
    }
    EXPECT_LT(RelativeError(updates, Flatten(expected)), 1e-12) << method;
    EXPECT_NEAR(sums.meta_loss, expected_sums.meta_loss, 1e-10) << method;
    EXPECT_NEAR(sums.meta_accuracy, expected_sums.meta_accuracy, 1e-10) << method;
    // Not even what would give infinities.
    TaskBatch wild = tasks;
    for (Examples* part : {&wild.support, &wild.query}) {
      part->inputs = torch::where((part->weights == 0).unsqueeze(2), 1e3, part->inputs);
      part->targets = torch::where(part->weights == 0, 1, part->targets);
    }
    EXPECT_LT(RelativeError(Flatten(UpdatesOf(*algorithm, theta, wild)), updates), 1e-12) << method;
  }
}

TEST(GroupedSource, StratifiedSupportSetsTakeClassesByTurns) {
  const auto source =
      Source("split { names { train: 'g7' } } shots: 6 queries: 12 stratified: true");
  const TaskBatch tasks = source->Sample(kKey, 0, 40, source->sizes());
  int seconds = 0;
  for (int64_t t = 0; t < 40; ++t) {
    EXPECT_EQ(tasks.support.targets[t].sum().item<int64_t>(), 3);
    seconds += tasks.query.targets[t].sum().item<int>();
    std::set<int64_t> different;
    for (const Examples* part : {&tasks.support, &tasks.query}) {
      for (const int64_t index : Indices(*part, t)) {
        different.insert(index);
      }
    }
    EXPECT_EQ(different.size(), 18U);
  }
  // 7 of the group's 22 examples are of class 1, so 4 of the 16 that the support set leaves: 120 of
  // all the queries, with a standard deviation of 4.9.
  EXPECT_NEAR(seconds, 120, 4 * 4.9);
  // A class with fewer examples gives all it has but does not keep the others from filling up.
  const auto large =
      Source("split { names { train: 'g7' } } shots: 18 queries: 4 stratified: true");
  const TaskBatch most = large->Sample(kKey, 0, 20, large->sizes());
  for (int64_t t = 0; t < 20; ++t) {
    EXPECT_GE(most.support.targets[t].sum().item<int64_t>(), 7);
    EXPECT_EQ(most.query.targets[t].sum().item<int64_t>(), 0);
  }
}

TEST(GroupedSource, TheTwoSupportSetsOfAContrastiveTermHaveTheSameClasses) {
  const auto source =
      Source("split { names { train: 'g7' } } shots: 4 queries: 3 stratified: true");
  const SupportSets sets = SplitSupport(source->Sample(kKey, 0, 20, source->sizes()));
  for (const Examples* support : {&sets.tasks.support, &*sets.second}) {
    EXPECT_EQ(support->count(), 2);
    for (int64_t t = 0; t < 20; ++t) {
      EXPECT_EQ(support->targets[t].sum().item<int64_t>(), 1) << "one of each class";
      for (int64_t i = 0; i < 2; ++i) {
        EXPECT_EQ(support->targets[t][i].item<int64_t>(), Indices(*support, t)[i] % 3 == 0 ? 1 : 0);
      }
    }
  }
}

TEST(GroupedSource, FeaturesAreStandardisedByTheTrainingGroups) {
  const auto source = Source(
      "split { names { train: 'g6' train: 'g7' test: 'g5' } } shots: 8 queries: 8 "
      "standardise: true");
  const auto raw =
      Source("split { names { train: 'g6' train: 'g7' test: 'g5' } } shots: 8 queries: 8");
  // Examples 63 .. 103, of which 19 are of group 6 and 22 of group 7.
  const Tensor rows = torch::stack(
      {torch::arange(51, 92, torch::kDouble), torch::cat({torch::full({19}, 6.0, torch::kDouble),
                                                          torch::full({22}, 7.0, torch::kDouble)})},
      1);
  const Tensor mean = rows.mean(0);
  const Tensor deviation = rows.std(0, /*unbiased=*/false);
  for (const v1::Split split : {v1::SPLIT_TRAIN, v1::SPLIT_TEST}) {
    const TaskKey key{.seed = 2, .split = split, .iteration = 1};
    const TaskBatch tasks = source->Sample(key, 0, 10, source->sizes());
    const TaskBatch as_they_are = raw->Sample(key, 0, 10, raw->sizes());
    const Tensor expected = (as_they_are.query.inputs.to(torch::kDouble) - mean) / deviation;
    EXPECT_LT((tasks.query.inputs - expected).abs().max().item<double>(), 1e-5);
  }
  // A feature that does not vary among the training groups is only shifted.
  const auto one =
      Source("split { names { train: 'g7' test: 'g5' } } shots: 8 queries: 8 standardise: true");
  const TaskBatch test = one->Sample({.seed = 2, .split = v1::SPLIT_TEST}, 0, 3, one->sizes());
  EXPECT_TRUE((test.query.inputs.select(2, 1) == -2).all().item<bool>());
}

TEST(GroupedSource, EachSplitAndSizeHasItsOwnGroupsWhateverWasAskedForBefore) {
  const std::string split =
      "split { names { train: ['g4', 'g5', 'g6', 'g7'] test: ['g1', 'g2'] } } ";
  const auto groups = [](const TaskSource& source, v1::Split part, const TaskSizes& sizes) {
    const TaskBatch tasks = source.Sample({.seed = 5, .split = part}, 0, 60, sizes);
    std::set<float> seen;
    for (int64_t t = 0; t < tasks.tasks(); ++t) {
      seen.insert(tasks.support.inputs[t][0][1].item<float>());
    }
    return seen;
  };
  const TaskSizes small{.ways = 1, .shots = 2, .queries = 2};
  const TaskSizes large{.ways = 1, .shots = 10, .queries = 7};
  const auto source = Source(split + "shots: 2 queries: 2");
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(groups(*source, v1::SPLIT_TRAIN, small), (std::set<float>{4, 5, 6, 7}));
    EXPECT_EQ(groups(*source, v1::SPLIT_TRAIN, large), (std::set<float>{6, 7}));
    EXPECT_EQ(groups(*source, v1::SPLIT_TEST, small), (std::set<float>{1, 2}));
  }
  // From several threads at once, each with sizes that nobody asked for before.
  std::vector<std::thread> threads;
  for (int64_t shots = 3; shots <= 6; ++shots) {
    threads.emplace_back([&, shots] {
      const TaskSizes sizes{.ways = 1, .shots = shots, .queries = 13 - shots};
      EXPECT_EQ(groups(*source, v1::SPLIT_TRAIN, sizes), (std::set<float>{4, 5, 6, 7}));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST(GroupedSource, CheckSeesEachSplitWithItsSizes) {
  const auto source = Source(
      "split { names { train: 'g7' train: 'g6' test: 'g2' } } shots: 5 queries: 5 "
      "small_groups: SMALL_GROUPS_REFUSE");
  const TaskSizes six{.ways = 1, .shots = 3, .queries = 3};
  EXPECT_TRUE(source->Check(v1::SPLIT_TEST, six, "e").ok());
  EXPECT_THAT(std::string(source->Check(v1::SPLIT_TEST, source->sizes(), "e").message()),
              HasSubstr("e takes 5 shots and 5 queries of a group; 1 of 1 group of the test split "
                        "of 'groups' has fewer: 'g2' (7 examples)"));
  EXPECT_THAT(std::string(source->Check(v1::SPLIT_VALIDATION, six, "e").message()),
              HasSubstr("e draws from the validation split of 'groups', which is empty"));
}

TEST(GroupedSource, MeansAndScalesOfTheSpecGiveTheBitsThatTheDataSetGives) {
  const std::string text = absl::StrCat(kAll, "shots: 3 queries: 2 standardise: true ",
                                        "small_groups: SMALL_GROUPS_SKIP");
  v1::TaskSource spec;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("grouped { dataset: 'groups' ", text, " }"), &spec));
  const auto groups = Groups(/*targets=*/false);
  ASSERT_TRUE(FillFeatureStatistics(*groups, spec).ok());
  EXPECT_EQ(spec.grouped().feature_means_size(), 2);
  EXPECT_EQ(spec.grouped().feature_scales_size(), 2);
  // Indices of 92 examples.
  EXPECT_FLOAT_EQ(spec.grouped().feature_means(0), 45.5F);
  EXPECT_FLOAT_EQ(spec.grouped().feature_scales(0),
                  static_cast<float>(1 / std::sqrt((92.0 * 92 - 1) / 12)));
  const auto filled = CreateTaskSource(spec, groups);
  ASSERT_TRUE(filled.ok()) << filled.status();
  const auto computed = Source(text);
  EXPECT_TRUE(torch::equal((*filled)->Sample(kKey, 0, 9, computed->sizes()).query.inputs,
                           computed->Sample(kKey, 0, 9, computed->sizes()).query.inputs));
  // Without it they would say nothing.
  spec.mutable_grouped()->set_standardise(false);
  ASSERT_TRUE(FillFeatureStatistics(*groups, spec).ok());
  EXPECT_EQ(spec.grouped().feature_means_size(), 0);
}

}  // namespace
}  // namespace innerloop::meta
