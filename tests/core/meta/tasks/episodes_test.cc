#include "core/meta/tasks/episodes.h"

#include <map>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "google/protobuf/text_format.h"
#include "tests/core/meta/test_dataset.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kSize = 4;

v1::TaskSource Spec(const std::string& text) {
  v1::TaskSource spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("episodes { dataset: 'small' ", text, " }"), &spec));
  return spec;
}

// Which image of the data set a row is, and how LibTorch would have rotated it.
struct Origin {
  uint32_t class_index;
  int64_t example;
  int turns;
};

class EpisodesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dataset_ = SmallDataset(kSize);
    ASSERT_NE(dataset_, nullptr);
    for (uint32_t c = 0; c < dataset_->classes(); ++c) {
      for (int64_t i = dataset_->class_begin(c); i < dataset_->class_begin(c + 1); ++i) {
        const absl::Span<const uint8_t> pixels = dataset_->ImageAt(i);
        const Tensor image =
            torch::from_blob(const_cast<uint8_t*>(pixels.data()), {kSize, kSize, 2}, torch::kUInt8)
                .to(torch::kFloat)
                .div(255);
        for (int turns = 0; turns < 4; ++turns) {
          origins_[Bytes(torch::rot90(image, turns, {0, 1}))] = {c, i, turns};
        }
      }
    }
    ASSERT_EQ(origins_.size(), 12U * 6 * 4);
  }

  static std::string Bytes(const Tensor& image) {
    const Tensor flat = image.contiguous();
    return {static_cast<const char*>(flat.const_data_ptr()), flat.nbytes()};
  }
  Origin OriginOf(const Tensor& image) const {
    const auto found = origins_.find(Bytes(image));
    EXPECT_NE(found, origins_.end());
    return found == origins_.end() ? Origin{} : found->second;
  }
  std::unique_ptr<TaskSource> Create(const std::string& text) const {
    auto source = CreateTaskSource(Spec(text), dataset_);
    EXPECT_TRUE(source.ok()) << source.status();
    return *std::move(source);
  }
  std::string ErrorOf(const std::string& text) const {
    const absl::Status status = CreateTaskSource(Spec(text), dataset_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }
  static TaskBatch Sample(const TaskSource& source, uint64_t tasks,
                          v1::Split split = v1::SPLIT_TRAIN) {
    return source.Sample({.seed = 2, .split = split, .iteration = 5}, 0, tasks, source.sizes());
  }

  std::shared_ptr<const Dataset> dataset_;
  std::map<std::string, Origin> origins_;
};

TEST_F(EpisodesTest, HaveDifferentClassesAndDisjointSupportAndQuerySets) {
  const auto source = Create("ways: 3 shots: 2 queries: 4 split { counts { train: 12 } }");
  const TaskBatch tasks = Sample(*source, 50);
  ASSERT_EQ(tasks.support.inputs.sizes(), (std::vector<int64_t>{50, 6, kSize, kSize, 2}));
  ASSERT_EQ(tasks.query.inputs.sizes(), (std::vector<int64_t>{50, 12, kSize, kSize, 2}));
  std::set<uint32_t> seen;
  for (int64_t t = 0; t < 50; ++t) {
    std::map<int64_t, std::set<uint32_t>> classes;  // by label
    std::set<int64_t> examples;
    for (const Examples* part : {&tasks.support, &tasks.query}) {
      for (int64_t i = 0; i < part->count(); ++i) {
        const auto label = part->targets[t][i].item<int64_t>();
        EXPECT_EQ(label, i / (part->count() / 3));  // sorted by class
        const Origin origin = OriginOf(part->inputs[t][i]);
        EXPECT_EQ(origin.turns, 0);
        classes[label].insert(origin.class_index);
        examples.insert(origin.example);
        seen.insert(origin.class_index);
      }
    }
    EXPECT_EQ(examples.size(), 18U);  // none twice
    std::set<uint32_t> different;
    for (const auto& [label, of_label] : classes) {
      EXPECT_EQ(of_label.size(), 1U);
      different.insert(*of_label.begin());
    }
    EXPECT_EQ(different.size(), 3U);
  }
  EXPECT_EQ(seen.size(), 12U);
}

TEST_F(EpisodesTest, TaskIsTheSameInEveryBatchAndForEveryCutOfItsExamples) {
  const auto source = Create(
      "ways: 3 shots: 2 queries: 3 rotations: ROTATIONS_AUGMENT split { counts { train: 12 } }");
  const TaskKey key{.seed = 2, .split = v1::SPLIT_TRAIN, .iteration = 5};
  const TaskBatch many = source->Sample(key, 0, 8, source->sizes());
  const TaskBatch one = source->Sample(key, 6, 7, {.ways = 3, .shots = 4, .queries = 1});
  const auto by_class = [](const Examples& examples, int64_t t) {
    return examples.inputs[t].unflatten(0, {3, -1});
  };
  EXPECT_TRUE(torch::equal(torch::cat({by_class(many.support, 6), by_class(many.query, 6)}, 1),
                           torch::cat({by_class(one.support, 0), by_class(one.query, 0)}, 1)));
  EXPECT_FALSE(torch::equal(many.support.inputs[5], many.support.inputs[6]));
}

TEST_F(EpisodesTest, SplitsShareNoClass) {
  const auto source = Create(
      "ways: 2 shots: 1 queries: 1 split { counts { train: 6 validation: 3 test: 3 seed: 4 } }");
  std::map<uint32_t, v1::Split> split_of;
  for (const v1::Split split : {v1::SPLIT_TRAIN, v1::SPLIT_VALIDATION, v1::SPLIT_TEST}) {
    const TaskBatch tasks = Sample(*source, 60, split);
    for (int64_t t = 0; t < 60; ++t) {
      for (int64_t i = 0; i < 2; ++i) {
        const uint32_t c = OriginOf(tasks.support.inputs[t][i]).class_index;
        EXPECT_EQ(split_of.emplace(c, split).first->second, split);
      }
    }
  }
  EXPECT_EQ(split_of.size(), 12U);
}

TEST_F(EpisodesTest, AugmentationTurnsEachClassOfATaskByItsOwnAngleInEverySplit) {
  const auto source = Create(
      "ways: 3 shots: 2 queries: 2 rotations: ROTATIONS_AUGMENT "
      "split { counts { train: 6 validation: 3 test: 3 } }");
  for (const v1::Split split : {v1::SPLIT_TRAIN, v1::SPLIT_TEST}) {
    const TaskBatch tasks = Sample(*source, 60, split);
    std::set<int> seen;
    int mixed = 0;
    for (int64_t t = 0; t < 60; ++t) {
      std::map<int64_t, std::set<int>> turns;  // by label
      for (const Examples* part : {&tasks.support, &tasks.query}) {
        for (int64_t i = 0; i < 6; ++i) {
          turns[part->targets[t][i].item<int64_t>()].insert(OriginOf(part->inputs[t][i]).turns);
        }
      }
      std::set<int> of_task;
      for (const auto& [label, of_label] : turns) {
        EXPECT_EQ(of_label.size(), 1U);
        of_task.insert(*of_label.begin());
      }
      mixed += of_task.size() > 1 ? 1 : 0;
      seen.insert(of_task.begin(), of_task.end());
    }
    EXPECT_EQ(seen.size(), 4U);
    EXPECT_GT(mixed, 20);
  }
}

TEST_F(EpisodesTest, RotatedClassesAreClassesOfTheirOwnInTrainingOnly) {
  // 12 ways of 4 training classes: only their rotations make enough.
  const auto source = Create(
      "ways: 12 shots: 2 queries: 2 rotations: ROTATIONS_CLASSES "
      "split { counts { train: 4 validation: 4 test: 4 } }");
  const TaskBatch tasks = Sample(*source, 20);
  for (int64_t t = 0; t < 20; ++t) {
    std::set<std::pair<uint32_t, int>> classes;
    for (int64_t i = 0; i < 24; ++i) {
      const Origin origin = OriginOf(tasks.support.inputs[t][i]);
      classes.insert({origin.class_index, origin.turns});
    }
    EXPECT_EQ(classes.size(), 12U);
  }
  const TaskSizes four{.ways = 4, .shots = 1, .queries = 1};
  EXPECT_TRUE(source->Check(v1::SPLIT_TEST, four, "").ok());
  const TaskBatch test = source->Sample({.split = v1::SPLIT_TEST}, 0, 20, four);
  for (int64_t t = 0; t < 20; ++t) {
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(OriginOf(test.query.inputs[t][i]).turns, 0);
    }
  }
  const absl::Status status = source->Check(v1::SPLIT_TEST, source->sizes(), "evaluation.final");
  EXPECT_EQ(status.message(), "tasks.episodes.ways is 12; the test split of 'small' has 4 classes");
}

TEST_F(EpisodesTest, WithinAGroupAreDrawnFromGroupsThatAreLargeEnoughByTheirSizes) {
  const auto source =
      Create("ways: 3 shots: 1 queries: 1 within_group: true split { counts { train: 12 } }");
  const TaskBatch tasks = Sample(*source, 1000);
  std::map<uint32_t, int> tasks_of_group;
  for (int64_t t = 0; t < 1000; ++t) {
    std::set<uint32_t> groups;
    for (int64_t i = 0; i < 3; ++i) {
      groups.insert(dataset_->class_groups()[OriginOf(tasks.support.inputs[t][i]).class_index]);
    }
    ASSERT_EQ(groups.size(), 1U);
    ++tasks_of_group[*groups.begin()];
  }
  EXPECT_EQ(tasks_of_group.count(2), 0U);       // two classes
  EXPECT_NEAR(tasks_of_group[0], 600, 5 * 16);  // six of ten, five standard deviations
}

TEST_F(EpisodesTest, OfATableHaveItsRows) {
  DatasetContent content;
  content.name = "small";
  content.example_shape = {2};
  for (int row = 0; row < 20; ++row) {
    content.features.push_back(static_cast<float>(row));
    content.features.push_back(-1.5F);
    content.labels.push_back(row / 4);
  }
  content.class_names = {"a", "b", "c", "d", "e"};
  const std::string path = absl::StrCat(::testing::TempDir(), "/table-", getpid());
  ASSERT_TRUE(WriteDataset(content, path).ok());
  const auto source =
      CreateTaskSource(Spec("ways: 3 shots: 1 queries: 3 split { counts { train: 5 } }"),
                       *Dataset::Open(path))
          .value();
  EXPECT_EQ(source->shape().input, std::vector<int64_t>{2});
  const TaskBatch tasks = Sample(*source, 20);
  EXPECT_TRUE((tasks.query.inputs.select(2, 1) == -1.5).all().item<bool>());
  for (int64_t t = 0; t < 20; ++t) {
    for (int64_t way = 0; way < 3; ++way) {
      std::set<int> rows = {tasks.support.inputs[t][way][0].item<int>()};
      for (int64_t i = 0; i < 3; ++i) {
        rows.insert(tasks.query.inputs[t][3 * way + i][0].item<int>());
      }
      EXPECT_EQ(rows.size(), 4U);  // all of one class
      EXPECT_EQ(*rows.begin() % 4, 0);
      EXPECT_EQ(*rows.rbegin(), *rows.begin() + 3);
    }
  }
}

TEST_F(EpisodesTest, RefuseWhatTheDataSetCannotGive) {
  EXPECT_EQ(ErrorOf("ways: 7 shots: 1 queries: 1 split { counts { train: 6 } }"),
            "tasks.episodes.ways is 7; the training split of 'small' has 6 classes");
  EXPECT_EQ(ErrorOf("ways: 7 shots: 1 queries: 1 within_group: true "
                    "split { counts { train: 12 } }"),
            "tasks.episodes.ways is 7; the training split of 'small' has 6 classes in its largest "
            "group");
  EXPECT_NE(ErrorOf("ways: 3 shots: 5 queries: 2 split { counts { train: 12 } }")
                .find("takes 5 shots and 2 queries of each class; class 'class00'"),
            std::string::npos);
  EXPECT_NE(CreateTaskSource(Spec("ways: 2 shots: 1 queries: 1"), nullptr)
                .status()
                .message()
                .find("needs its data set 'small'"),
            absl::string_view::npos);
}

TEST_F(EpisodesTest, CheckSeesTheValidationAndTestClassesToo) {
  const auto source =
      Create("ways: 3 shots: 1 queries: 1 split { counts { train: 6 validation: 2 test: 4 } }");
  EXPECT_TRUE(source->Check(v1::SPLIT_TEST, source->sizes(), "e").ok());
  EXPECT_EQ(source->Check(v1::SPLIT_VALIDATION, source->sizes(), "e").message(),
            "tasks.episodes.ways is 3; the validation split of 'small' has 2 classes");
}

}  // namespace
}  // namespace innerloop::meta
