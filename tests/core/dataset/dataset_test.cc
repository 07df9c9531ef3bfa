#include "core/dataset/dataset.h"

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/checksum.h"
#include "core/support/file_system.h"
#include "core/tensor/safetensors.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

DatasetContent Images() {
  DatasetContent content;
  content.name = "tiny";
  content.example_shape = {1, 2, 1};
  content.images = {0, 1, 2, 3, 4, 5, 6, 7, 8, 255};
  content.labels = {0, 0, 1, 2, 2};
  content.class_names = {"A/a", "A/b", "B/\xC3\xA9"};
  content.class_groups = {0, 0, 1};
  content.group_names = {"A", "B"};
  content.preparation = {"size=2", "invert=true"};
  content.splits["published"] = {.train = {0, 2}, .validation = {}, .test = {1}};
  return content;
}

// Classes in any order within groups.
DatasetContent Grouped() {
  DatasetContent content;
  content.name = "grouped";
  content.example_shape = {1};
  content.features = {1, 2, 3, 4};
  content.labels = {1, 0, 1, 1};
  content.class_names = {"no", "yes"};
  content.groups = {0, 0, 0, 1};
  content.group_names = {"ann", "bob"};
  return content;
}

DatasetContent GroupedTargets() {
  DatasetContent content = Grouped();
  content.labels.clear();
  content.class_names.clear();
  content.target_size = 2;
  content.targets = {1, 2, 3, 4, 5, 6, 7, 8};
  content.splits["s"] = {.train = {1}, .validation = {}, .test = {0}};
  return content;
}

void ExpectRefused(const DatasetContent& content, const std::string& message) {
  const TemporaryFolder folder;
  const absl::Status status = WriteDataset(content, folder / "t");
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << message;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  EXPECT_FALSE(std::filesystem::exists(folder / "t"));
}

TEST(Dataset, RoundTripsImages) {
  const TemporaryFolder folder;
  const std::string path = folder / "tiny.safetensors";
  ASSERT_TRUE(WriteDataset(Images(), path).ok());
  const auto dataset = Dataset::Open(path).value();
  EXPECT_EQ(dataset->examples(), 5);
  EXPECT_TRUE(dataset->images());
  EXPECT_THAT(dataset->example_shape(), ElementsAre(1, 2, 1));
  EXPECT_THAT(dataset->ImageAt(0), ElementsAre(0, 1));
  EXPECT_THAT(dataset->ImageAt(4), ElementsAre(8, 255));
  EXPECT_EQ(dataset->classes(), 3U);
  EXPECT_EQ(dataset->class_begin(0), 0);
  EXPECT_EQ(dataset->class_begin(1), 2);
  EXPECT_EQ(dataset->class_begin(2), 3);
  EXPECT_EQ(dataset->class_begin(3), 5);
  EXPECT_EQ(dataset->class_names(), Images().class_names);
  EXPECT_THAT(dataset->class_groups(), ElementsAre(0, 0, 1));
  EXPECT_THAT(dataset->group_names(), ElementsAre("A", "B"));
  EXPECT_THAT(dataset->splits().at("published").Of(v1::SPLIT_TRAIN), ElementsAre(0, 2));
  EXPECT_THAT(dataset->splits().at("published").Of(v1::SPLIT_VALIDATION), ElementsAre());
  EXPECT_THAT(dataset->splits().at("published").Of(v1::SPLIT_TEST), ElementsAre(1));
}

TEST(Dataset, RoundTripsFeatures) {
  const TemporaryFolder folder;
  DatasetContent content;
  content.name = "features";
  content.example_shape = {3};
  content.features = {1, 2, 3, 4, 5, 6};
  content.labels = {0, 1};
  content.class_names = {"x", "y"};
  ASSERT_TRUE(WriteDataset(content, folder / "f").ok());
  const auto dataset = Dataset::Open(folder / "f").value();
  EXPECT_FALSE(dataset->images());
  EXPECT_THAT(dataset->FeaturesAt(1), ElementsAre(4, 5, 6));
  EXPECT_EQ(dataset->Describe().dtype(), "float32");
  EXPECT_THAT(dataset->Describe().example_shape(), ElementsAre(3));
}

TEST(Dataset, DescribesItself) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteDataset(Images(), folder / "t").ok());
  const std::string bytes = ReadFile(folder / "t");
  const auto dataset = Dataset::Open(folder / "t").value();
  // From several threads: the hash is computed by one of them.
  std::vector<v1::DataSetDescription> descriptions(4);
  std::vector<std::thread> threads;
  for (v1::DataSetDescription& description : descriptions) {
    threads.emplace_back([&] { description = dataset->Describe(); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const v1::DataSetDescription& description : descriptions) {
    EXPECT_EQ(description.name(), "tiny");
    EXPECT_EQ(description.sha256(), Sha256::Hex(bytes));
    EXPECT_EQ(description.bytes(), bytes.size());
    EXPECT_EQ(description.examples(), 5U);
    EXPECT_THAT(description.example_shape(), ElementsAre(1, 2, 1));
    EXPECT_EQ(description.dtype(), "uint8");
    EXPECT_EQ(description.classes(), 3U);
    EXPECT_EQ(description.groups(), 2U);
    EXPECT_THAT(description.preparation(), ElementsAre("size=2", "invert=true"));
    EXPECT_THAT(description.splits(), ElementsAre("published"));
    EXPECT_EQ(description.smallest_class(), 1U);
  }
}

TEST(Dataset, EveryDamageIsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "t";
  ASSERT_TRUE(WriteDataset(Images(), path).ok());
  std::string bytes = ReadFile(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char mask = static_cast<char>(1 << i % 8);
    bytes[i] = static_cast<char>(bytes[i] ^ mask);
    WriteFile(path, bytes);
    bytes[i] = static_cast<char>(bytes[i] ^ mask);
    const absl::Status status = Dataset::Open(path).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << i << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
  for (size_t size = 0; size < bytes.size(); size += 13) {
    WriteFile(path, bytes.substr(0, size));
    EXPECT_TRUE(absl::IsDataLoss(Dataset::Open(path).status())) << size;
  }
  EXPECT_TRUE(absl::IsNotFound(Dataset::Open(folder / "none").status()));
}

TEST(Dataset, RoundTripsGroupsWithClasses) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteDataset(Grouped(), folder / "g").ok());
  const auto dataset = Dataset::Open(folder / "g").value();
  ASSERT_TRUE(dataset->grouped());
  EXPECT_EQ(dataset->group_begin(0), 0);
  EXPECT_EQ(dataset->group_begin(1), 3);
  EXPECT_EQ(dataset->group_begin(2), 4);
  EXPECT_EQ(dataset->LabelAt(0), 1);
  EXPECT_EQ(dataset->LabelAt(1), 0);
  EXPECT_EQ(dataset->target_size(), 0);
  const v1::DataSetDescription description = dataset->Describe();
  EXPECT_EQ(description.groups(), 2U);
  EXPECT_EQ(description.smallest_group(), 1U);
  EXPECT_EQ(description.classes(), 2U);
  EXPECT_EQ(description.smallest_class(), 1U);
  EXPECT_EQ(description.target_size(), 0U);
}

TEST(Dataset, RoundTripsGroupsWithTargets) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteDataset(GroupedTargets(), folder / "g").ok());
  const auto dataset = Dataset::Open(folder / "g").value();
  EXPECT_THAT(dataset->TargetAt(0), ElementsAre(1, 2));
  EXPECT_THAT(dataset->TargetAt(3), ElementsAre(7, 8));
  EXPECT_THAT(dataset->FeaturesAt(3), ElementsAre(4));
  EXPECT_THAT(dataset->splits().at("s").test, ElementsAre(0));
  const v1::DataSetDescription description = dataset->Describe();
  EXPECT_EQ(description.classes(), 0U);
  EXPECT_EQ(description.smallest_class(), 0U);
  EXPECT_EQ(description.target_size(), 2U);
  EXPECT_EQ(description.smallest_group(), 1U);
}

TEST(Dataset, SplitsOfGroupedDataDivideGroups) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteDataset(GroupedTargets(), folder / "g").ok());
  const auto dataset = Dataset::Open(folder / "g").value();
  v1::ClassSplit split;
  split.mutable_names()->add_train("bob");
  split.mutable_names()->add_test("a*");
  const ClassLists lists = ResolveSplit(*dataset, split).value();
  EXPECT_THAT(lists.train, ElementsAre(1));
  EXPECT_THAT(lists.test, ElementsAre(0));
  split.mutable_names()->add_validation("bo");
  EXPECT_EQ(ResolveSplit(*dataset, split).status().message(),
            "tasks.grouped.split.names.validation: no group of 'grouped' is called 'bo'; the "
            "nearest of 2 is 'bob'");
  split.mutable_counts()->set_train(3);
  EXPECT_EQ(ResolveSplit(*dataset, split).status().message(),
            "tasks.grouped.split.counts asks for 3 groups; 'grouped' has 2");
}

TEST(Dataset, ContentThatDoesNotFitTogetherIsNotWritten) {
  const std::pair<std::function<void(DatasetContent&)>, std::string> cases[] = {
      {[](auto& c) { c.name = "a/b"; }, "cannot be called 'a/b'"},
      {[](auto& c) { c.name = ""; }, "cannot be called ''"},
      {[](auto& c) { c.images.pop_back(); }, "9 input values for 5 examples of shape [1,2,1]"},
      {[](auto& c) {
         c.example_shape = {1, 2};
       },
       "images [H,W,C] or features [D]"},
      {[](auto& c) {
         c.example_shape = {1, 0, 1};
       },
       "shape [1,0,1] is neither"},
      {[](auto& c) { c.features = {1}; }, "images [H,W,C] or features [D]"},
      {[](auto& c) {
         c.labels = {0, 0, 2, 1, 1};
       },
       "class 2 comes after 0"},
      {[](auto& c) {
         c.labels = {0, 0, 1, 2, 1};
       },
       "class 1 comes after 2"},
      {[](auto& c) {
         c.labels = {1, 1, 1, 2, 2};
       },
       "class 1 comes after -1"},
      {[](auto& c) {
         c.labels = {-1, -1, 0, 1, 2};
       },
       "an example has class -1; they count from 0"},
      {[](auto& c) { c.class_names.pop_back(); }, "2 names for class 0 to 2"},
      {[](auto& c) { c.class_names[1] = "A/a"; }, "the class 'A/a' is there twice"},
      {[](auto& c) { c.class_names[1] = ""; }, "the name of a class has 0 bytes"},
      {[](auto& c) { c.class_names[1] = "\xFF"; }, "UTF-8"},
      {[](auto& c) { c.preparation = {std::string(size_t{16} << 20, 'x')}; },
       "the metadata 'preparation' has 16777220 bytes, more than 16777216"},
      {[](auto& c) { c.class_groups[1] = 2; }, "belongs to group 2; there are 2"},
      {[](auto& c) { c.class_groups.pop_back(); }, "2 classes have groups"},
      {[](auto& c) { c.splits["published"].test = {3}; }, "'published' has class 3; there are 3"},
      {[](auto& c) { c.splits["published"].test = {0}; }, "'published' has class 0 twice"},
      {[](auto& c) {
         c.splits["published"].train = {2, 0};
       },
       "rising order"},
      {[](auto& c) {
         c.targets = {1, 2, 3, 4, 5};
         c.target_size = 1;
       },
       "either labels or targets"},
      {[](auto& c) {
         c.targets = {1, 2, 3, 4, 5};
       },
       "5 target values for 5 examples of 0 targets"},
  };
  for (const auto& [change, message] : cases) {
    DatasetContent content = Images();
    change(content);
    ExpectRefused(content, message);
  }
}

TEST(Dataset, GroupedContentThatDoesNotFitTogetherIsNotWritten) {
  const std::pair<std::function<void(DatasetContent&)>, std::string> cases[] = {
      {[](auto& c) { c.groups.pop_back(); }, "4 input values for 3 examples of shape [1]"},
      {[](auto& c) { c.features.pop_back(); }, "3 input values for 4 examples of shape [1]"},
      {[](auto& c) {
         c.groups = {0, 1, 0, 1};
       },
       "group 0 comes after 1"},
      {[](auto& c) {
         c.groups = {-1, 0, 0, 1};
       },
       "an example has group -1; they count from 0"},
      {[](auto& c) { c.group_names.pop_back(); }, "1 names for group 0 to 1"},
      {[](auto& c) { c.labels.pop_back(); }, "3 labels and 4 groups for 4 examples"},
      {[](auto& c) {
         c.labels = {0, 0, 0, 0};
       },
       "no example has label 1 of 2"},
      {[](auto& c) { c.labels[2] = 2; }, "an example has label 2; there are 2 class names"},
      {[](auto& c) { c.labels[2] = -1; }, "an example has label -1"},
      {[](auto& c) {
         c.class_groups = {0, 1};
       },
       "both examples and classes have groups"},
      {[](auto& c) { c.splits["s"].test = {2}; }, "'s' has group 2; there are 2"},
      {[](auto& c) {
         c.labels.clear();
         c.target_size = 2;
         c.targets = {1, 2, 3, 4};
       },
       "4 target values for 4 examples of 2 targets"},
      {[](auto& c) {
         c.labels.clear();
         c.target_size = 1;
         c.targets = {1, 2, 3, 4};
       },
       "examples with targets have no classes"},
  };
  for (const auto& [change, message] : cases) {
    DatasetContent content = Grouped();
    change(content);
    ExpectRefused(content, message);
  }
  DatasetContent without_groups = GroupedTargets();
  without_groups.groups.clear();
  without_groups.group_names.clear();
  ExpectRefused(without_groups, "0 examples");
}

// Well-formed JSON.
std::string Nested(int levels) {
  return std::string(static_cast<size_t>(levels), '[') +
         std::string(static_cast<size_t>(levels), ']');
}

// Files with a right checksum whose content is not a data set's.
TEST(Dataset, ForgedFilesAreRefused) {
  const TemporaryFolder folder;
  const std::string path = folder / "t";
  ASSERT_TRUE(WriteDataset(Images(), path).ok());
  const std::string bytes = ReadFile(path);
  const std::string floats(40, '\0');
  const std::pair<std::function<void(SafeTensorsView&)>, std::string> cases[] = {
      {[](auto& v) { v.tensors.pop_back(); }, "its tensors must be"},
      {[](auto& v) {
         v.tensors.push_back({"weights", ElementType::kU8, {1}, "x"});
       },
       "'labels' or 'targets', perhaps 'groups', and no others"},
      {[](auto& v) {
         v.tensors.push_back({"targets", ElementType::kU8, {1}, "x"});
       },
       "its tensors must be"},
      {[](auto& v) {
         v.tensors.push_back({"groups", ElementType::kU8, {5}, "xxxxx"});
       },
       "'groups' must be I64 [N]"},
      {[&](auto& v) {
         v.tensors.push_back({"groups", ElementType::kI64, {5}, floats});
       },
       "both examples and classes have groups"},
      {[&](auto& v) {
         v.tensors[0] = {"targets", ElementType::kF32, {5}, floats.substr(0, 20)};
       },
       "'targets' must be F32 [N,M]"},
      {[&](auto& v) {
         v.tensors[0] = {"targets", ElementType::kF32, {5, 0}, ""};
       },
       "'targets' must be F32 [N,M]"},
      {[&](auto& v) {
         v.tensors[0] = {"targets", ElementType::kF32, {5, 2}, floats};
       },
       "targets are for grouped data"},
      {[](auto& v) { v.tensors[1].shape = {10}; }, "'inputs' must be"},
      {[](auto& v) {
         v.tensors[1].shape = {10, 1, 1, 1};
       },
       "as many examples"},
      {[](auto& v) {
         v.tensors[1].shape = {5, 1, 1, 2, 1};
       },
       "'inputs' must be"},
      {[](auto& v) {
         v.tensors[0].shape = {5, 1};
       },
       "'labels' must be I64 [N]"},
      {[](auto& v) {
         v.tensors[0] = {"labels", ElementType::kI64, {0}, ""};
         v.tensors[1] = {"inputs", ElementType::kU8, {0, 1, 2, 1}, ""};
       },
       "0 input values for 0 examples"},
      {[&](auto& v) { v.tensors[0].bytes = floats; }, "names for class 0 to 0"},
      {[](auto& v) { v.metadata.erase("splits"); }, "the metadata 'splits' is missing"},
      {[](auto& v) { v.metadata["splits"] = "[]"; }, "'splits' has another form"},
      {[](auto& v) { v.metadata["splits"] = R"({"a":1})"; }, "'splits' has another form"},
      {[](auto& v) { v.metadata["splits"] = R"({"a":{"train":[-1]}})"; }, "'splits' has another"},
      {[](auto& v) { v.metadata["class_names"] = "[1,2,3]"; }, "'class_names' has another form"},
      {[](auto& v) { v.metadata["class_names"] = "["; }, "'class_names' is no JSON"},
      {[](auto& v) { v.metadata["class_names"] = std::string(1'000'000, '['); }, "1 deep"},
      {[](auto& v) { v.metadata["class_names"] = Nested(1'000'000); }, "'class_names' has arrays"},
      {[](auto& v) { v.metadata["class_groups"] = Nested(2); }, "more than 1 deep"},
      {[](auto& v) { v.metadata["splits"] = R"({"a":{"train":)" + Nested(1'000'000) + "}}"; },
       "'splits' has arrays or objects inside one another more than 3 deep"},
      {[](auto& v) { v.metadata["splits"] = R"({"a":{"train":[],"test":[]}})"; }, "another form"},
      {[](auto& v) {
         v.metadata["preparation"] = "[\"" + std::string(size_t{16} << 20, 'x') + "\"]";
       },
       "'preparation' has 16777220 bytes, more than 16777216"},
      {[](auto& v) { v.metadata["class_groups"] = "[0,0,4294967296]"; }, "another form"},
      {[](auto& v) { v.metadata["name"] = "../x"; }, "cannot be called '../x'"},
      {[](auto& v) { v.metadata["format"] = "innerloop-dataset-2"; }, "'innerloop-dataset-2'"},
  };
  for (const auto& [change, message] : cases) {
    SafeTensorsView view = ParseSafeTensors(bytes, path).value();
    view.metadata["crc32c"] = "00000000";
    change(view);
    SafeTensorsFile file = BuildSafeTensors(view.tensors, view.metadata).value();
    SealCrc32c(file);
    std::vector<absl::string_view> pieces = {file.header};
    pieces.insert(pieces.end(), file.pieces.begin(), file.pieces.end());
    ASSERT_TRUE(FileSystem::Real().Replace(path, pieces).ok());
    const absl::Status status = Dataset::Open(path).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace innerloop
