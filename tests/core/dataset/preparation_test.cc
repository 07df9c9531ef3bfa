// What a data set tells of its making, and what is read of tables made alike.
#include "core/dataset/preparation.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/dataset/csv_rows.h"
#include "tests/core/dataset/sources.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

v1::DataSetDescription DescriptionOf(const std::vector<int64_t>& shape,
                                     const std::vector<std::string>& preparation) {
  v1::DataSetDescription description;
  description.set_name("d");
  description.mutable_example_shape()->Add(shape.begin(), shape.end());
  description.mutable_preparation()->Add(preparation.begin(), preparation.end());
  return description;
}

TEST(PreparationTest, NamesWithRunningNumbersAreWrittenAsRuns) {
  const std::vector<std::string> names = {"x",  "p8", "p9",   "p10", "p12", "q13",
                                          "07", "08", "a..b", "1",   "2"};
  const std::vector<std::string> entries = FeatureEntries(names);
  EXPECT_THAT(entries, ElementsAre("feature=x", "features=p8..p10", "feature=p12", "feature=q13",
                                   "feature=07", "feature=08", "feature=a..b", "features=1..2"));
  EXPECT_EQ(CsvOptionsOf(DescriptionOf({11}, entries)).features, names);
  EXPECT_THAT(CsvOptionsOf(DescriptionOf({1}, {"features=a1..a4000000000"})).features, IsEmpty());
  EXPECT_THAT(CsvOptionsOf(DescriptionOf({1}, {"features=a", "features=a3..a1"})).features,
              IsEmpty());
}

TEST(PreparationTest, NamesWithTwoDotsAreNoRuns) {
  const std::vector<std::string> names = {"x..1", "x..2", "y.1", "y.2", "y.3"};
  const std::vector<std::string> entries = FeatureEntries(names);
  EXPECT_THAT(entries, ElementsAre("feature=x..1", "feature=x..2", "features=y.1..y.3"));
  EXPECT_EQ(CsvOptionsOf(DescriptionOf({5}, entries)).features, names);
  EXPECT_THAT(CsvOptionsOf(DescriptionOf({1}, {"features=a1..b3", "features=a1..a2..a9"})).features,
              IsEmpty());
}

TEST(PreparationTest, RunsEndAtTheLargestNumberAndTogetherHaveALimit) {
  EXPECT_THAT(CsvOptionsOf(DescriptionOf({2}, {"features=a4294967294..a4294967295"})).features,
              ElementsAre("a4294967294", "a4294967295"));
  EXPECT_THAT(
      CsvOptionsOf(DescriptionOf({1}, {"features=a1..a600000", "features=b1..b600000"})).features,
      SizeIs(600'000));
}

TEST(PreparationTest, ImagesAreMadeLikeTheDataSets) {
  const ImageImportOptions options =
      ImageOptionsOf(DescriptionOf({28, 28, 1}, {"size=28", "grayscale=true", "invert=true"}))
          .value();
  EXPECT_EQ(options.size, 28);
  EXPECT_TRUE(options.grayscale);
  EXPECT_TRUE(options.invert);
  const ImageImportOptions idx = ImageOptionsOf(DescriptionOf({8, 8, 3}, {"format=idx"})).value();
  EXPECT_EQ(idx.size, 8);
  EXPECT_FALSE(idx.grayscale);
  EXPECT_FALSE(idx.invert);
  EXPECT_THAT(std::string(ImageOptionsOf(DescriptionOf({8, 9, 3}, {})).status().message()),
              HasSubstr("'d' are no square images"));
}

TEST(PreparationTest, AnImportedTableTellsItsColumnsAndItsGroupsClasses) {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/t.csv";
  WriteFile(file, "who,x,y,z,mood\nann,1,2,3,good\nbob,4,5,6,bad\nann,7,8,9,bad\n");
  CsvImportOptions import;
  import.file = file;
  import.features = {"x", "y"};
  import.targets = {"mood"};
  import.group = "who";
  const DatasetContent content = ImportCsv(import, nullptr).value();
  const v1::DataSetDescription description = DescriptionOf({2}, content.preparation);
  EXPECT_THAT(ClassNamesOf(description), ElementsAre("bad", "good"));
  CsvImportOptions options = CsvOptionsOf(description);
  options.file = folder.path() + "/mine.csv";
  WriteFile(options.file, "mood,y,x\ngood,1,2\nbad,3,4\n");
  const CsvRows rows = ReadCsvRows(options).value();
  // Columns in the data set's order, rows in the file's.
  EXPECT_THAT(rows.features, ElementsAre(2, 1, 4, 3));
  EXPECT_EQ(rows.count, 2);
  EXPECT_THAT(rows.classes, ElementsAre("good", "bad"));
}

TEST(CsvRowsTest, RowsKeepTheirOrderAndMayLackTargets) {
  const TemporaryFolder folder;
  CsvImportOptions options;
  options.file = folder.path() + "/t.csv";
  options.features = {"x"};
  options.regression = true;
  WriteFile(options.file, "x,y\n3,30\n1,10\n");
  CsvRows rows = ReadCsvRows(options).value();
  EXPECT_THAT(rows.features, ElementsAre(3, 1));
  EXPECT_THAT(rows.targets, IsEmpty());
  options.targets = {"y"};
  rows = ReadCsvRows(options).value();
  EXPECT_THAT(rows.targets, ElementsAre(30, 10));
  EXPECT_THAT(rows.target_names, ElementsAre("y"));
  WriteFile(options.file, "x,y\n3,30\n1\n");
  EXPECT_THAT(std::string(ReadCsvRows(options).status().message()), HasSubstr("t.csv:3: "));
}

TEST(CsvRowsTest, RowsOfOneGroupAreTakenWithTheirPlacesInTheFile) {
  const TemporaryFolder folder;
  CsvImportOptions options;
  options.file = folder.path() + "/t.csv";
  options.features = {"x"};
  options.group = "who";
  WriteFile(options.file, "who,x\nann,1\nbob,2\nann,3\nbob,much\n");
  const CsvRows rows = ReadCsvRows(options, "ann").value();
  EXPECT_THAT(rows.features, ElementsAre(1, 3));
  EXPECT_THAT(rows.places, ElementsAre(1, 3));
  EXPECT_THAT(rows.groups, ElementsAre("ann", "ann"));
  EXPECT_THAT(std::string(ReadCsvRows(options, "Ann").status().message()),
              HasSubstr("t.csv: no row has 'Ann' in the column 'who'; the nearest of 2 is 'ann'"));
  options.group = "whom";
  EXPECT_THAT(std::string(ReadCsvRows(options, "ann").status().message()),
              HasSubstr("t.csv:1: no column is called 'whom'"));
  options.group = "who";
  WriteFile(options.file, "who,x\n");
  EXPECT_THAT(std::string(ReadCsvRows(options, "ann").status().message()),
              HasSubstr("no rows follow the first line"));
}

TEST(CsvRowsTest, ASmallFileCannotFillTheMemory) {
  const TemporaryFolder folder;
  CsvImportOptions options;
  options.file = folder.path() + "/t.csv.gz";
  options.features = {"x"};
  options.targets = {"mood"};
  options.group = "who";
  options.max_bytes = 1 << 20;
  constexpr char kFull[] =
      ": the rows up to here take more than 1048576 bytes of memory, the most of one table; leave "
      "out rows or columns";
  std::string alike = "who,x,mood\n";
  std::string others = alike;
  for (int i = 0; i < 40'000; ++i) {
    absl::StrAppend(&alike, "ann,0,good\n");
    absl::StrAppend(&others, "who", i, ",0,good\n");
  }
  WriteFile(options.file, Gzip(alike));
  const std::string message(ReadCsvRows(options).status().message());
  EXPECT_THAT(message, StartsWith(options.file));
  EXPECT_THAT(message, HasSubstr(kFull));
  WriteFile(options.file, Gzip(others));
  EXPECT_THAT(std::string(ReadCsvRows(options, "ann").status().message()), HasSubstr(kFull));
  options.max_bytes = kMaxInputs;
  EXPECT_EQ(ReadCsvRows(options, "who7").value().count, 1);
}

}  // namespace
}  // namespace innerloop
