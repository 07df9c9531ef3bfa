#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/dataset/import.h"
#include "tests/core/dataset/sources.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kTable[] =
    "who,a,b,c,mood\n"
    "bob,1,2,3,good\n"
    "ann,4,5,6,bad\n"
    "bob,7,8,9,good\n"
    "ann,-1.5,2e3,0.25,good\n";

class CsvImportTest : public ::testing::Test {
 protected:
  absl::StatusOr<DatasetContent> Import(const std::string& text,
                                        CsvImportOptions options = {}) const {
    options.file = folder_ / "t.csv";
    options.name = "t";
    if (options.targets.empty()) {
      options.targets = {"mood"};
    }
    WriteFile(options.file, text);
    return ImportCsv(options, nullptr);
  }
  // Of the import of a text that is refused, without the file's name.
  std::string ErrorOf(const std::string& text, const CsvImportOptions& options = {}) const {
    const absl::Status status = Import(text, options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    const std::string message(status.message());
    EXPECT_THAT(message, StartsWith(folder_ / "t.csv")) << text;
    return message.substr(std::min(message.size(), (folder_ / "t.csv").size()));
  }

  const TemporaryFolder folder_;
};

TEST_F(CsvImportTest, WithoutGroupsExamplesAreSortedByClass) {
  const DatasetContent content = Import(kTable, {.features = {"a", "c"}}).value();
  EXPECT_THAT(content.example_shape, ElementsAre(2));
  EXPECT_THAT(content.class_names, ElementsAre("bad", "good"));
  EXPECT_THAT(content.labels, ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(content.features, ElementsAre(4, 6, 1, 3, 7, 9, -1.5, 0.25));
  EXPECT_TRUE(content.groups.empty());
  EXPECT_TRUE(WriteDataset(content, folder_ / "t").ok());
}

TEST_F(CsvImportTest, WithGroupsExamplesAreSortedByGroupInTheFilesOrder) {
  const DatasetContent content = Import(kTable, {.group = "who"}).value();
  EXPECT_THAT(content.group_names, ElementsAre("ann", "bob"));
  EXPECT_THAT(content.groups, ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(content.labels, ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(content.features, ElementsAre(4, 5, 6, -1.5, 2000, 0.25, 1, 2, 3, 7, 8, 9));
  EXPECT_THAT(content.preparation,
              ElementsAre("format=csv", "target=mood", "group=who", "feature=a", "feature=b",
                          "feature=c", "class=bad", "class=good"));
  EXPECT_TRUE(WriteDataset(content, folder_ / "t").ok());
}

TEST_F(CsvImportTest, SeveralColumnsOfNumbersAreATarget) {
  const DatasetContent content =
      Import(kTable, {.features = {"a"}, .targets = {"c", "b"}, .regression = true, .group = "who"})
          .value();
  EXPECT_EQ(content.target_size, 2);
  EXPECT_THAT(content.targets, ElementsAre(6, 5, 0.25, 2000, 3, 2, 9, 8));
  EXPECT_TRUE(content.labels.empty());
  EXPECT_TRUE(WriteDataset(content, folder_ / "t").ok());
}

TEST_F(CsvImportTest, RunsOfColumnsGoByTheirPlaces) {
  EXPECT_EQ(Import(kTable, {.features = {"a-c"}}).value().example_shape[0], 3);
  EXPECT_EQ(Import("x-1,x-2,y,mood\n1,2,3,u\n", {.features = {"x-1-y"}}).value().features.size(),
            3U);
  EXPECT_THAT(Import("x-1,x-2,x,mood\n1,2,3,u\n", {.features = {"x-2"}}).value().features,
              ElementsAre(2));
}

TEST_F(CsvImportTest, QuotesLineEndsAndMarksAreAsInRfc4180) {
  const DatasetContent content =
      Import("\xEF\xBB\xBF\"a\",mood\r\n\"1\",\"so, \"\"so\"\"\"\r\n\r\n2,\"two\nlines\"").value();
  EXPECT_THAT(content.class_names, ElementsAre("so, \"so\"", "two\nlines"));
  EXPECT_THAT(content.features, ElementsAre(1, 2));
}

TEST_F(CsvImportTest, CompressedFilesAreRead) {
  EXPECT_EQ(Import(Gzip(kTable), {.group = "who"}).value().features.size(), 12U);
}

TEST_F(CsvImportTest, ASmallFileCannotFillTheMemory) {
  std::string alike = "a,mood\n";
  std::string classes = alike;
  for (int i = 0; i < 10'000; ++i) {
    absl::StrAppend(&alike, "0,u\n");
    absl::StrAppend(&classes, "0,u", i, "\n");
  }
  // A float and a number for each row; besides, where each row is a class, the classes' names.
  EXPECT_TRUE(Import(Gzip(alike), {.max_bytes = 12 * 10'000 + 1000}).ok());
  EXPECT_THAT(ErrorOf(Gzip(alike), {.max_bytes = 12 * 10'000 - 1}),
              HasSubstr(": the rows up to here take more than 119999 bytes of memory, the most of "
                        "one table; leave out rows or columns"));
  EXPECT_THAT(ErrorOf(Gzip(classes), {.max_bytes = 12 * 10'000 + 1000}),
              HasSubstr("take more than 121000 bytes of memory"));
}

TEST_F(CsvImportTest, RowsThatSpanThePiecesOfAFileAreWhole) {
  std::string text = "a,mood\n";
  for (int i = 0; i < 300'000; ++i) {
    absl::StrAppend(&text, i % 97, ",\"c", i % 3, "\"\n");
  }
  const DatasetContent content = Import(text).value();
  ASSERT_EQ(content.labels.size(), 300'000U);
  double sum = 0;
  for (const float value : content.features) {
    sum += value;
  }
  double expected = 0;
  for (int i = 0; i < 300'000; ++i) {
    expected += i % 97;
  }
  EXPECT_EQ(sum, expected);
  EXPECT_THAT(content.class_names, ElementsAre("c0", "c1", "c2"));
}

TEST_F(CsvImportTest, CellsThatAreNoNumbersAreNamedWithTheirLine) {
  EXPECT_EQ(ErrorOf("a,mood\n1,u\nabc,v\n"),
            ":3: column 'a' is 'abc'; a decimal number is expected");
  EXPECT_EQ(ErrorOf("a,mood\n\"1\n\",u\nnan,v\n"),
            ":4: column 'a' is 'nan'; a decimal number is expected");
  EXPECT_EQ(ErrorOf("a,mood\n0x10,u\n"), ":2: column 'a' is '0x10'; a decimal number is expected");
  EXPECT_EQ(ErrorOf("a,mood\n-inf,u\n"), ":2: column 'a' is '-inf'; a decimal number is expected");
  EXPECT_THAT(ErrorOf("a,mood\n1e400,u\n"), HasSubstr("beyond float32's range"));
  EXPECT_EQ(ErrorOf("a,mood\n1e39,u\n"), ":2: column 'a' is 1e39, which is beyond float32's range");
  EXPECT_EQ(ErrorOf("g,a,y\nx,1,z\n", {.targets = {"y"}, .regression = true, .group = "g"}),
            ":2: column 'y' is 'z'; a decimal number is expected");
}

TEST_F(CsvImportTest, EmptyCellsAreRefusedOrTheirRowsLeftOut) {
  constexpr char kGaps[] = "g,a,mood\nx,1,u\nx,,v\n,3,u\nx,4, \n";
  EXPECT_EQ(ErrorOf(kGaps, {.group = "g"}),
            ":3: column 'a' is empty; --skip-missing leaves such rows out");
  const DatasetContent content = Import(kGaps, {.group = "g", .skip_missing = true}).value();
  EXPECT_THAT(content.features, ElementsAre(1));
  EXPECT_THAT(content.preparation, ::testing::Contains("skipped_rows=3"));
  // A column that is not used may have gaps.
  EXPECT_TRUE(Import("a,b,mood\n1,,u\n", {.features = {"a"}}).ok());
  EXPECT_EQ(ErrorOf("a,mood\n,u\n", {.skip_missing = true}),
            ":1: no rows follow the first line but such with empty cells");
}

TEST_F(CsvImportTest, ColumnsThatDoNotFitAreNamed) {
  EXPECT_EQ(ErrorOf(kTable, {.targets = {"moot"}}),
            ":1: no column is called 'moot'; the nearest of 5 is 'mood'");
  EXPECT_EQ(ErrorOf(kTable, {.group = "whom"}),
            ":1: no column is called 'whom'; the nearest of 5 is 'who'");
  EXPECT_EQ(ErrorOf(kTable, {.group = "quite another"}),
            ":1: no column is called 'quite another'; there are 5: 'who', 'a', 'b', 'c', 'mood'");
  EXPECT_EQ(ErrorOf("bit1,bit2,mood\n1,2,u\n", {.features = {"bit1-bit99"}}),
            ":1: no column is called 'bit99', as 'bit1-bit99' has it; the nearest of 3 is 'bit1'");
  EXPECT_EQ(ErrorOf(kTable, {.features = {"c-a"}}),
            ":1: the columns 'c-a' run backwards; write a-c");
  EXPECT_THAT(ErrorOf(kTable, {.features = {"a", "mood"}}),
              HasSubstr(":1: the column 'mood' is asked for twice"));
  EXPECT_EQ(ErrorOf("a,a,mood\n1,2,u\n"), ":1: the column 'a' is there twice");
  EXPECT_EQ(ErrorOf("1,2\n3,4\n"),
            ":1: the first line holds numbers alone; it must name the columns");
  EXPECT_EQ(ErrorOf("mood\nu\n"), ":1: no column is left for the features");
}

TEST_F(CsvImportTest, HintsAtWhatMayHaveBeenMeantOtherwise) {
  const auto hints_of = [this](const std::string& text, CsvImportOptions options) {
    std::vector<std::string> hints;
    options.file = folder_ / "t.csv";
    WriteFile(options.file, text);
    EXPECT_TRUE(ImportCsv(options, nullptr, &hints).ok());
    return hints;
  };
  EXPECT_THAT(hints_of(kTable, {.targets = {"mood"}, .group = "who"}), ElementsAre());
  EXPECT_THAT(hints_of("a,mood\n1,u\n2,u\n", {.targets = {"mood"}}),
              ElementsAre("column 'mood' is 'u' in every row; there is nothing to tell apart"));
  EXPECT_THAT(hints_of("a,stars\n1,4\n2,4.5\n3,5\n", {.targets = {"stars"}}),
              ElementsAre(HasSubstr("'stars' has 3 different numbers, each taken as a class; if "
                                    "they are quantities, give --regression and --group")));
  EXPECT_THAT(hints_of("a,digit\n1,4\n2,3\n3,5\n", {.targets = {"digit"}}), ElementsAre());
  std::string users = "user,pixel,y\n";
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&users, i / 3, ",", i % 7, i % 2 == 0 ? ",u\n" : ",v\n");
  }
  EXPECT_THAT(hints_of(users, {.targets = {"y"}}),
              ElementsAre(HasSubstr("'user' has 7 whole numbers, each in rows that stand "
                                    "together, and is taken as a feature; if it tells groups, "
                                    "give --group user")));
}

TEST_F(CsvImportTest, BrokenTablesAreRefused) {
  EXPECT_EQ(ErrorOf(""), ":1: the file is empty; its first line must name the columns");
  EXPECT_EQ(ErrorOf("a,mood\n"), ":1: no rows follow the first line");
  EXPECT_EQ(ErrorOf("a,mood\n1,u\n2\n"), ":3: the row has 1 cell; the first line has 2");
  EXPECT_EQ(ErrorOf("a,mood\n1,u,3\n"), ":2: the row has 3 cells; the first line has 2");
  EXPECT_EQ(ErrorOf("a,mood\n1,\"u\n2,v\n"),
            ":2: the cell that begins here with a quote has none at its end");
  EXPECT_THAT(ErrorOf("a,mood\n1,u\"v\n"), HasSubstr(":2: a cell has a quote inside"));
  EXPECT_EQ(ErrorOf("a,mood\n1,\"u\"v\n"), ":2: a quoted cell goes on after its closing quote");
}

TEST_F(CsvImportTest, OptionsThatDoNotFitAreRefused) {
  EXPECT_THAT(std::string(Import(kTable, {.targets = {"a", "b"}}).status().message()),
              HasSubstr("2 targets are given; classes stand in one column"));
  EXPECT_THAT(
      std::string(Import(kTable, {.targets = {"a"}, .regression = true}).status().message()),
      HasSubstr("regression needs --group"));
  const CsvImportOptions missing{.file = folder_ / "none.csv", .name = "t", .targets = {"a"}};
  EXPECT_THAT(std::string(ImportCsv(missing, nullptr).status().message()),
              HasSubstr("there is no file"));
}

}  // namespace
}  // namespace innerloop
