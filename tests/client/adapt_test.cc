// `innerloop adapt`: what is read from people's files and sent, and what is shown.
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/rpc/status.h"
#include "tests/client/fake_adaptation.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

v1::ModelDescription ModelOf(const std::vector<int64_t>& shape) {
  v1::ModelDescription model;
  model.set_job_id("j1");
  model.set_iteration(7);
  model.mutable_input_shape()->Add(shape.begin(), shape.end());
  model.set_takes_steps(true);
  return model;
}

// Of images of 2 x 2 dark pixels on light ground; 3 ways.
v1::ModelDescription ImageModel() {
  v1::ModelDescription model = ModelOf({2, 2, 1});
  model.set_most_classes(3);
  *model.mutable_data_set()->mutable_example_shape() = model.input_shape();
  model.mutable_data_set()->add_preparation("size=2");
  model.mutable_data_set()->add_preparation("grayscale=true");
  model.mutable_data_set()->add_preparation("invert=true");
  return model;
}

v1::ModelDescription SinusoidModel() {
  v1::ModelDescription model = ModelOf({1});
  model.set_target_size(1);
  return model;
}

// Of a table of people's moods: each person is a task.
v1::ModelDescription TableModel() {
  v1::ModelDescription model = ModelOf({2});
  model.set_most_classes(3);
  model.set_shared_classes(true);
  model.mutable_data_set()->add_example_shape(2);
  for (const char* entry : {"format=csv", "target=mood", "group=who", "feature=sleep",
                            "feature=work", "class=bad", "class=fair", "class=good"}) {
    model.mutable_data_set()->add_preparation(entry);
  }
  return model;
}

class AdaptTest : public ::testing::Test {
 protected:
  // A gray image of one value.
  void WriteImage(const std::string& name, int size, int value) const {
    const std::string path = folder_.path() + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    WriteFile(path, absl::StrCat(
                        "P5 ", size, " ", size, " 255\n",
                        std::string(static_cast<size_t>(size * size), static_cast<char>(value))));
  }
  void WriteSupport() const {
    WriteImage("support/dark/1.pgm", 4, 10);
    WriteImage("support/light/1.pgm", 2, 200);
    WriteImage("support/light/2.pgm", 8, 250);
  }
  static Outcome Adapt(const FakeAdaptation& service, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--coordinator", service.address(), "adapt"});
    return RunProgram(arguments);
  }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  // The one line of a run that bad input ends.
  static std::string ErrorOf(const FakeAdaptation& service, std::vector<std::string> arguments) {
    const Outcome outcome = Adapt(service, std::move(arguments));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(service.adapted(), IsEmpty());
    return outcome.err;
  }

  TestFolder folder_;
};

TEST_F(AdaptTest, ImagesAreMadeAsTheTrainingSetsWere) {
  const FakeAdaptation service(ImageModel());
  WriteSupport();
  ASSERT_EQ(Adapt(service, {"j1", "--support", Path("support")}).code, 0);
  ASSERT_EQ(service.adapted().size(), 1);
  const v1::SupportSet support = service.adapted()[0].support();
  EXPECT_THAT(support.inputs().shape(), ElementsAre(2, 2, 1));
  EXPECT_EQ(support.inputs().uint8(),
            std::string(4, '\xF5') + std::string(4, '\x37') + std::string(4, '\x05'))
      << "255 - 10, 255 - 200 and 255 - 250";
  EXPECT_THAT(support.labels(), ElementsAre(0, 1, 1));
  EXPECT_EQ(service.adapted()[0].checkpoint(), "j1@7");
}

TEST_F(AdaptTest, QueriesInClassFoldersTellHowManyAreRight) {
  const FakeAdaptation service(ImageModel());
  WriteSupport();
  WriteImage("queries/dark/a.pgm", 2, 0);
  WriteImage("queries/dark/b.pgm", 2, 240);
  WriteImage("queries/light/c.pgm", 2, 255);
  const Outcome outcome =
      Adapt(service, {"j1@best", "--support", Path("support"), "--query", Path("queries")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "j1@7 adapted to 3 examples of 2 classes, 0 steps: support loss 1.5000 -> 0.2500\n"
            "\n"
            "QUERY        PREDICTED  PROBABILITY  RUNNER-UP  PROBABILITY  TRUE\n"
            "dark/a.pgm   dark           75.00 %  light          25.00 %  dark\n"
            "dark/b.pgm   light          75.00 %  dark           25.00 %  dark\n"
            "light/c.pgm  light          75.00 %  dark           25.00 %  light\n"
            "\n"
            "2 of 3 right: 66.67 %\n");
}

TEST_F(AdaptTest, ImagesWithoutFoldersAndSingleFilesAreQueriesOfUnknownClass) {
  const FakeAdaptation service(ImageModel());
  WriteSupport();
  WriteImage("flat/a.pgm", 2, 0);
  WriteImage("single.pgm", 2, 255);
  const Outcome outcome = Adapt(service, {"j1", "--support", Path("support"), "--query",
                                          Path("flat"), Path("single.pgm"), "--format=json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_FALSE(result.contains("accuracy"));
  ASSERT_EQ(result["predictions"].size(), 2);
  EXPECT_EQ(result["predictions"][0]["query"], "a.pgm");
  EXPECT_EQ(result["predictions"][0]["predicted"], "dark");
  EXPECT_EQ(result["predictions"][0]["probabilities"]["light"], 0.25);
  EXPECT_EQ(result["predictions"][1]["predicted"], "light");
  EXPECT_FALSE(result["predictions"][0].contains("true"));
  EXPECT_THAT(result["classes"], ElementsAre("dark", "light"));
  EXPECT_THAT(result["support_losses"], ElementsAre(1.5, 0.25));
}

TEST_F(AdaptTest, TheRuleIsWhatTheFlagsSay) {
  const FakeAdaptation service(ImageModel());
  WriteSupport();
  ASSERT_EQ(Adapt(service, {"j1", "--support", Path("support"), "--steps", "3", "--line-search",
                            "2", "--transductive", "single"})
                .code,
            0);
  ASSERT_EQ(Adapt(service, {"j1", "--support", Path("support")}).code, 0);
  const v1::AdaptationRule rule = service.adapted()[0].rule();
  EXPECT_EQ(rule.inner_steps(), 3);
  EXPECT_EQ(rule.line_search(), 2);
  EXPECT_EQ(rule.transduction(), v1::TRANSDUCTION_SINGLE_QUERY);
  EXPECT_FALSE(service.adapted()[1].rule().has_inner_steps())
      << "the coordinator knows the default";
}

TEST_F(AdaptTest, GeneratedTasksTakeInputsAndThenTargetsFromATable) {
  const FakeAdaptation service(SinusoidModel());
  const std::string support = folder_.Write("s.csv", "x,y\n-1,0.5\n2,-3\n");
  const std::string queries = folder_.Write("q.csv", "x\n1.5\n-2\n");
  const Outcome outcome =
      Adapt(service, {"j1", "--support", support, "--query", queries, "--format", "csv"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(service.adapted()[0].support().targets(), ElementsAre(0.5, -3));
  EXPECT_EQ(outcome.out, "query,y\nrow 1,-3\nrow 2,0.5\n");
  const std::string known = folder_.Write("k.csv", "x,y\n1.5,-2\n-2,0.5\n");
  EXPECT_THAT(Adapt(service, {"j1", "--support", support, "--query", known}).out,
              AllOf(HasSubstr("QUERY    y  TRUE y\nrow 1   -3      -2\nrow 2  0.5     0.5\n"),
                    HasSubstr("mean squared error 0.5000")));
}

TEST_F(AdaptTest, ATablesColumnsAndClassesAreThoseOfTheImport) {
  const FakeAdaptation service(TableModel());
  const std::string support =
      folder_.Write("s.csv", "mood,note,sleep,work\ngood,x,8,4\nbad,y,5,12\n");
  const std::string queries = folder_.Write("q.csv", "sleep,work,mood\n6,11,bad\n");
  const Outcome outcome = Adapt(service, {"j1", "--support", support, "--query", queries});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const v1::SupportSet sent = service.adapted()[0].support();
  EXPECT_THAT(sent.labels(), ElementsAre(2, 0)) << "bad, fair and good are 0, 1 and 2";
  const float values[] = {8, 4, 5, 12};
  EXPECT_EQ(sent.inputs().float32(),
            std::string(reinterpret_cast<const char*>(values), sizeof(values)));
  EXPECT_THAT(outcome.out, HasSubstr("1 of 1 right: 100.00 %"));
}

TEST_F(AdaptTest, OfATableOfSeveralGroupsOneIsAdaptedTo) {
  const FakeAdaptation service(TableModel());
  const std::string all =
      folder_.Write("all.csv", "who,sleep,work,mood\nann,8,4,good\nbob,9,1,fair\nann,5,12,bad\n");
  const Outcome outcome =
      Adapt(service, {"j1", "--support", all, "--query", all, "--group", "ann", "--format=csv"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(service.adapted()[0].support().labels(), ElementsAre(2, 0));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\nrow 1,"), HasSubstr("\nrow 3,")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("row 2")));
}

TEST_F(AdaptTest, RowsOfSeveralGroupsAreNoTask) {
  const FakeAdaptation service(TableModel());
  const std::string all =
      folder_.Write("all.csv", "who,sleep,work,mood\nann,8,4,good\nbob,9,1,fair\ncy,5,12,bad\n");
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", all}),
              HasSubstr("all.csv: has rows of 3 groups (column 'who': 'ann', 'bob', ...), and each "
                        "is a task of its own; choose one with --group"));
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", all, "--group", "dan"}),
              HasSubstr("all.csv: no row has 'dan' in the column 'who'; "));
  const std::string ann = folder_.Write("ann.csv", "who,sleep,work,mood\nann,8,4,good\n");
  const std::string bob = folder_.Write("bob.csv", "who,sleep,work\nbob,8,4\n");
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", ann, "--query", bob}),
              HasSubstr("bob.csv: is of the group 'bob'; the support set is of 'ann'"));
}

TEST_F(AdaptTest, AGroupIsForTablesOfGroups) {
  const FakeAdaptation images(ImageModel());
  WriteSupport();
  EXPECT_THAT(ErrorOf(images, {"j1", "--support", Path("support"), "--group", "ann"}),
              HasSubstr("--group is for tables; the model takes images"));
  const FakeAdaptation generated(SinusoidModel());
  const std::string support = folder_.Write("s.csv", "x,y\n-1,0.5\n2,-3\n");
  EXPECT_THAT(ErrorOf(generated, {"j1", "--support", support, "--group", "ann"}),
              HasSubstr("--group ann: what the model was trained on had no column of groups"));
}

TEST_F(AdaptTest, MoreQueriesThanFitOneCallGoInSeveral) {
  const FakeAdaptation service(SinusoidModel());
  const std::string support = folder_.Write("s.csv", "x,y\n-1,0.5\n2,-3\n");
  std::string rows = "x\n";
  for (int i = 0; i < 200'001; ++i) {
    rows += "3\n";
  }
  const std::string queries = folder_.Write("q.csv", rows);
  const Outcome outcome =
      Adapt(service, {"j1", "--support", support, "--query", queries, "--format", "csv"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(service.predicted(), ElementsAre(200'000, 1));
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 200'002);
  EXPECT_THAT(
      Adapt(service, {"j1", "--support", support, "--query", queries, "--transductive", "yes"}).err,
      HasSubstr("of these 200001 at most 200000 fit one call"));
}

TEST_F(AdaptTest, TheAdaptedModelIsWrittenByItsEnding) {
  const FakeAdaptation service(ImageModel());
  WriteSupport();
  const std::string out = Path("model.pt");
  const Outcome outcome = Adapt(service, {"j1", "--support", Path("support"), "--out", out});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(ReadFile(out), "FORMAT_TORCHSCRIPT of handle");
  EXPECT_THAT(outcome.out, HasSubstr("adapted model: " + out));
  ASSERT_EQ(
      Adapt(service, {"j1", "--support", Path("support"), "--out", Path("m.safetensors")}).code, 0);
  EXPECT_EQ(ReadFile(Path("m.safetensors")), "FORMAT_SAFETENSORS of handle");
}

TEST_F(AdaptTest, BadImagesAreNamedInOneLine) {
  const FakeAdaptation service(ImageModel());
  WriteSupport();
  const std::string support = Path("support");
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", Path("none")}),
              HasSubstr("there is no '" + Path("none") + "'"));
  EXPECT_THAT(ErrorOf(service, {"nosuch", "--support", support}),
              HasSubstr("unknown job 'nosuch'"));
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", support, "--out", "model.onnx"}),
              HasSubstr("--out model.onnx: the ending says what to write, .safetensors or .pt"));
  WriteImage("unknown/gray/1.pgm", 2, 0);
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", support, "--query", Path("unknown")}),
              HasSubstr("the queries have the class 'gray'; the support set's are dark, light"));
  WriteImage("loose/a.pgm", 2, 0);
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", Path("loose")}),
              HasSubstr("the image 'a.pgm' in '" + Path("loose") + "' is in no folder"));
  WriteFile(Path("support/light/3.pgm"), "no image");
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", support}),
              HasSubstr("the image 'light/3.pgm' in '" + support + "' does not decode"));
  std::filesystem::remove(Path("support/light/3.pgm"));
  std::filesystem::create_directory(Path("support/gray"));
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", support}),
              HasSubstr("the class folder '" + Path("support/gray") + "' has no images"));
  WriteImage("support/gray/1.pgm", 2, 100);
  WriteImage("support/white/1.pgm", 2, 255);
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", support}),
              HasSubstr("the support set has 4 classes; the model tells at most 3 apart"));
}

TEST_F(AdaptTest, BadTablesAreNamedInOneLine) {
  const FakeAdaptation service(TableModel());
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", folder_.Write("a.csv", "mood,sleep\ngood,8\n")}),
              AllOf(HasSubstr(Path("a.csv:1: ")), HasSubstr("no column is called 'work'")));
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", folder_.Write("b.csv", "sleep,work\n8,4\n")}),
              AllOf(HasSubstr(Path("b.csv:1: ")), HasSubstr("no column is called 'mood'")));
  EXPECT_THAT(
      ErrorOf(service, {"j1", "--support", folder_.Write("c.csv", "sleep,work,mood\n8,4,great\n")}),
      HasSubstr("row 1 is of class 'great'; the training set's classes are bad, fair, good"));
  EXPECT_THAT(ErrorOf(service, {"j1", "--support",
                                folder_.Write("d.csv", "sleep,work,mood\n8,much,good\n")}),
              AllOf(HasSubstr("d.csv:2: "), HasSubstr("'much'")));
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", folder_.path()}), HasSubstr("is a folder"));
}

TEST_F(AdaptTest, MetricMethodsTakeNoSteps) {
  v1::ModelDescription model = ImageModel();
  model.set_takes_steps(false);
  model.set_most_classes(0);
  const FakeAdaptation service(model);
  WriteSupport();
  EXPECT_THAT(ErrorOf(service, {"j1", "--support", Path("support"), "--steps", "2"}),
              HasSubstr("--steps is 2; metric methods take none"));
  WriteImage("support/a/1.pgm", 2, 0);
  WriteImage("support/b/1.pgm", 2, 0);
  WriteImage("support/c/1.pgm", 2, 0);
  EXPECT_EQ(Adapt(service, {"j1", "--support", Path("support")}).code, 0)
      << "and any number of classes";
}

TEST_F(AdaptTest, WithoutWorkersThatIsSaid) {
  FakeAdaptation service(ImageModel());
  service.Fail(ToGrpc(absl::UnavailableError("no workers are connected")));
  WriteSupport();
  const Outcome outcome = Adapt(service, {"j1", "--support", Path("support")});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.err, "adapting\ninnerloop: no workers are connected\n");
}

TEST_F(AdaptTest, AnswersThatAreNotOneForEachQueryAndClassAreRefused) {
  FakeAdaptation service(ImageModel());
  WriteSupport();
  WriteImage("queries/a.pgm", 2, 0);
  WriteImage("queries/b.pgm", 2, 255);
  const auto error = [&](const std::function<void(v1::Predictions&)>& spoil) {
    service.Spoil(spoil);
    const Outcome outcome =
        Adapt(service, {"j1", "--support", Path("support"), "--query", Path("queries")});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  };
  EXPECT_THAT(error([](v1::Predictions& p) { p.mutable_values()->RemoveLast(); }),
              HasSubstr("the coordinator answered 2 queries with 3 numbers, 2 for each"));
  EXPECT_THAT(error([](v1::Predictions& p) { p.Clear(); }),
              HasSubstr("answered 2 queries with 0 numbers, 0 for each"));
  EXPECT_THAT(error([](v1::Predictions& p) {
                p.set_size(3);
                p.add_values(0);
                p.add_values(0);
              }),
              HasSubstr("answered a query with 3 numbers; the classes are 2"));
}

TEST_F(AdaptTest, PredictionsInSeveralCallsAreCheckedEach) {
  FakeAdaptation service(SinusoidModel());
  const std::string support = folder_.Write("s.csv", "x,y\n-1,0.5\n2,-3\n");
  std::string rows = "x\n";
  for (int i = 0; i < 200'001; ++i) {
    rows += "3\n";
  }
  const std::string queries = folder_.Write("q.csv", rows);
  service.Spoil([](v1::Predictions& p) {
    if (p.values_size() == 1) {
      p.set_size(2);
      p.add_values(0);
    }
  });
  const Outcome outcome = Adapt(service, {"j1", "--support", support, "--query", queries});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("answered queries with 1 numbers each, and then with 2"));
}

TEST_F(AdaptTest, ACheckpointFileIsHeldAgainstTheInputsBeforeAnythingStarts) {
  WriteSmallCheckpoint(Path("c.safetensors"));
  const std::string support = folder_.Write("s.csv", "x\n1\n");
  const Outcome outcome = RunProgram({"adapt", Path("c.safetensors"), "--support", support});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err,
              HasSubstr("s.csv: has 0 columns of targets behind 1 of inputs; the model wants 1"));
}

TEST(AdaptExample, TheDocumentationShowsTheProgramThatIsBuiltAndItWorks) {
  const std::string code = ReadFile(INNERLOOP_DOCS_DIR "/examples/adapt.cc");
  EXPECT_THAT(ReadFile(INNERLOOP_DOCS_DIR "/adapt.md"), HasSubstr("```cpp\n" + code + "```\n"));
  v1::ModelDescription model = ModelOf({28, 28, 1});
  model.set_most_classes(2);
  const FakeAdaptation service(model);
  FILE* const program =
      popen(absl::StrCat(ADAPT_EXAMPLE, " ", service.address(), " j1").c_str(), "r");
  ASSERT_NE(program, nullptr);
  char line[100] = {};
  EXPECT_NE(fgets(line, sizeof(line), program), nullptr);
  EXPECT_EQ(pclose(program), 0);
  EXPECT_STREQ(line, "light: 75.0 %\n");
}

}  // namespace
}  // namespace innerloop::client
