#include "core/dataset/examples/examples.h"

#include <string>

#include <gtest/gtest.h>

#include "core/dataset/import.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

DatasetContent Imported(const char* example, CsvImportOptions options) {
  const TemporaryFolder folder;
  options.file = folder / "e.csv";
  options.name = example;
  for (const ExampleData& data : ExampleDataSets()) {
    if (std::string(data.name) == example) {
      WriteFile(options.file, data.make(1));
    }
  }
  absl::StatusOr<DatasetContent> content = ImportCsv(options, nullptr);
  EXPECT_TRUE(content.ok()) << content.status();
  EXPECT_TRUE(WriteDataset(*content, folder / "d").ok());
  return *std::move(content);
}

TEST(ExampleDataSets, AreTablesOfGroupsAsTheirDescriptionsSay) {
  const DatasetContent molecules = Imported("molecules", {.targets = {"active"}, .group = "assay"});
  EXPECT_EQ(molecules.group_names.size(), 400U);
  EXPECT_EQ(molecules.example_shape[0], 64);
  EXPECT_EQ(molecules.class_names.size(), 2U);
  const DatasetContent machines =
      Imported("machines", {.targets = {"condition"}, .group = "machine"});
  EXPECT_EQ(machines.group_names.size(), 150U);
  EXPECT_EQ(machines.class_names.size(), 4U);
  const DatasetContent ratings =
      Imported("ratings", {.targets = {"rating"}, .regression = true, .group = "user"});
  EXPECT_EQ(ratings.group_names.size(), 300U);
  EXPECT_EQ(ratings.example_shape[0], 16);
  EXPECT_EQ(ratings.target_size, 1);
  const DatasetContent handwriting =
      Imported("handwriting", {.targets = {"digit"}, .group = "writer"});
  EXPECT_EQ(handwriting.group_names.size(), 200U);
  EXPECT_EQ(handwriting.example_shape[0], 144);
  EXPECT_EQ(handwriting.class_names.size(), 10U);
}

TEST(ExampleDataSets, AreFunctionsOfTheirSeeds) {
  for (const ExampleData& data : ExampleDataSets()) {
    const std::string one = data.make(1);
    EXPECT_EQ(one, data.make(1)) << data.name;
    EXPECT_NE(one, data.make(2)) << data.name;
  }
}

}  // namespace
}  // namespace innerloop
