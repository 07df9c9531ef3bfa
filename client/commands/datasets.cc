#include "client/commands/datasets.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/commands/evaluate.h"
#include "client/commands/job_file.h"
#include "client/commands/watching.h"
#include "client/render/numbers.h"
#include "client/render/table.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

std::string DefaultName(const std::string& out) {
  return std::filesystem::path(out).stem().string();
}

ImportProgress ImportLine(LiveLine& live) {
  return [&live](int64_t examples) {
    live.Update(
        absl::StrCat(CountOf(static_cast<uint64_t>(examples), "example", "examples"), " read"));
  };
}

// Writes what was imported, and says what it is.
absl::Status Keep(const DatasetContent& content, const std::string& out, const Session& session) {
  INNERLOOP_RETURN_IF_ERROR(WriteDataset(content, out));
  INNERLOOP_ASSIGN_OR_RETURN(const auto data_set, Dataset::Open(out));
  const v1::DataSetDescription made = data_set->Describe();
  Json json = DataSetJson(made);
  json["file"] = out;
  std::string text = absl::StrCat(
      out, ": ", CountOf(made.examples(), "example", "examples"), ", ",
      made.target_size() > 0
          ? absl::StrCat(CountOf(made.target_size(), "target value", "target values"), " each, ")
          : absl::StrCat(CountOf(made.classes(), "class", "classes"), ", "));
  if (made.smallest_group() > 0) {
    absl::StrAppend(&text, CountOf(made.groups(), "group", "groups"), ", ");
  }
  for (const std::string& step : made.preparation()) {
    absl::string_view value = step;
    uint64_t rows = 0;
    if (absl::ConsumePrefix(&value, "skipped_rows=") && absl::SimpleAtoi(value, &rows)) {
      absl::StrAppend(&text, CountOf(rows, "row", "rows"), " with empty cells left out, ");
    }
  }
  session.Show(json, absl::StrCat(text, Bytes(made.bytes()), ", sha256 ", made.sha256(), "\n"));
  return absl::OkStatus();
}

std::string GroupsTable(const Dataset& data_set) {
  Table table({{"GROUP"}, {"EXAMPLES", Table::Align::kRight}});
  for (uint32_t g = 0; g < data_set.group_names().size(); ++g) {
    table.Add({data_set.group_names()[g], Count(static_cast<uint64_t>(data_set.group_begin(g + 1) -
                                                                      data_set.group_begin(g)))});
  }
  return table.Render();
}

std::string ClassesTable(const Dataset& data_set) {
  Table table({{"CLASS"}, {"GROUP"}, {"EXAMPLES", Table::Align::kRight}});
  for (uint32_t c = 0; c < data_set.classes(); ++c) {
    const bool grouped = !data_set.class_groups().empty();
    table.Add(
        {data_set.class_names()[c],
         grouped ? data_set.group_names()[data_set.class_groups()[c]] : "",
         Count(static_cast<uint64_t>(data_set.class_begin(c + 1) - data_set.class_begin(c)))});
  }
  return table.Render();
}

}  // namespace

absl::Status ImportImageDataSet(ImageImportOptions options, const std::string& out,
                                Session& session) {
  if (options.name.empty()) {
    options.name = DefaultName(out);
  }
  LiveLine live(session.Live());
  INNERLOOP_ASSIGN_OR_RETURN(const DatasetContent content, ImportImages(options, ImportLine(live)));
  live.Close();
  return Keep(content, out, session);
}

absl::Status ImportIdxDataSet(IdxImportOptions options, const std::string& out, Session& session) {
  if (options.name.empty()) {
    options.name = DefaultName(out);
  }
  LiveLine live(session.Live());
  INNERLOOP_ASSIGN_OR_RETURN(const DatasetContent content, ImportIdx(options, ImportLine(live)));
  live.Close();
  return Keep(content, out, session);
}

absl::Status ImportCsvDataSet(CsvImportOptions options, const std::string& out, Session& session) {
  if (options.name.empty()) {
    options.name = DefaultName(out);
  }
  LiveLine live(session.Live());
  std::vector<std::string> hints;
  INNERLOOP_ASSIGN_OR_RETURN(const DatasetContent content,
                             ImportCsv(options, ImportLine(live), &hints));
  for (const std::string& hint : hints) {
    live.Print(absl::StrCat("hint: ", hint));
  }
  live.Close();
  return Keep(content, out, session);
}

absl::Status MakeExampleData(const ExampleData& example, uint64_t seed, const std::string& out,
                             Session& session) {
  const std::string text = example.make(seed);
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Replace(out, {text}));
  session.Show({{"file", out}, {"example", example.name}, {"seed", seed}},
               absl::StrCat(out, ": ", example.description, " Made up, seed ", seed, "\n"));
  return absl::OkStatus();
}

absl::Status AddDataSet(const std::string& data_set, Session& session) {
  DataSetFile file{.path = data_set};
  std::error_code error;
  if (!std::filesystem::exists(data_set, error) && absl::StrContains(data_set, "=")) {
    INNERLOOP_ASSIGN_OR_RETURN(file, ParseDataFlag(data_set));
  } else {
    INNERLOOP_ASSIGN_OR_RETURN(const auto opened, Dataset::Open(file.path));
    file.name = opened->Describe().name();
  }
  v1::DataSetDescription added;
  {
    LiveLine live(session.Live());
    INNERLOOP_ASSIGN_OR_RETURN(
        added, session.Client().UploadDataSet(file.name, file.path, TransferLine(live, file.path)));
  }
  session.Show(DataSetJson(added),
               absl::StrCat(added.name(), ": ", CountOf(added.examples(), "example", "examples"),
                            ", ", Bytes(added.bytes()), ", sha256 ", added.sha256(), "\n"));
  return absl::OkStatus();
}

absl::Status ListDataSets(Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::DataSetDescription> data_sets,
                             session.Client().ListDataSets());
  Json json = Json::array();
  for (const v1::DataSetDescription& data_set : data_sets) {
    json.push_back(DataSetJson(data_set));
  }
  session.Show(json, data_sets.empty() ? "no data sets\n" : DataSetsTable(data_sets));
  return absl::OkStatus();
}

absl::Status ShowDataSet(const std::string& data_set, bool classes, Session& session) {
  if (NamesFile(data_set)) {
    INNERLOOP_ASSIGN_OR_RETURN(const auto opened, Dataset::Open(data_set));
    Json json = DataSetJson(opened->Describe());
    std::string text = DataSetText(opened->Describe());
    if (classes) {
      json["class_names"] = opened->class_names();
      json["group_names"] = opened->group_names();
      absl::StrAppend(&text, "\n",
                      opened->grouped() ? GroupsTable(*opened) : ClassesTable(*opened));
    }
    session.Show(json, text);
    return absl::OkStatus();
  }
  if (classes) {
    return absl::InvalidArgumentError(
        "--classes wants a data set's file: the coordinator tells "
        "of classes only how many there are");
  }
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::DataSetDescription> known,
                             session.Client().ListDataSets());
  std::vector<std::string> names;
  for (const v1::DataSetDescription& candidate : known) {
    if (candidate.name() == data_set || candidate.sha256() == data_set) {
      session.Show(DataSetJson(candidate), DataSetText(candidate));
      return absl::OkStatus();
    }
    names.push_back(candidate.name());
  }
  return absl::NotFoundError(absl::StrCat(
      "there is no file and no data set '", data_set,
      "'; the coordinator has: ", names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

absl::Status RemoveDataSet(const std::string& data_set, bool force, Session& session) {
  INNERLOOP_RETURN_IF_ERROR(session.Client().DeleteDataSet(data_set, force));
  session.Show({{"data_set", data_set}, {"removed", true}},
               absl::StrCat("data set ", data_set, " removed\n"));
  return absl::OkStatus();
}

}  // namespace innerloop::client
