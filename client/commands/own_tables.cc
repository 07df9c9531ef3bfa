#include "client/commands/own_tables.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/dataset/csv_rows.h"
#include "core/dataset/preparation.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// The first columns are the inputs, those after them the targets, if they are there.
CsvImportOptions ByPlace(const v1::ModelDescription& model,
                         const std::vector<std::string>& header) {
  CsvImportOptions options;
  options.regression = true;
  const auto inputs = std::min<size_t>(static_cast<size_t>(model.input_shape(0)), header.size());
  const auto end = std::min<size_t>(inputs + model.target_size(), header.size());
  options.features.assign(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(inputs));
  options.targets.assign(header.begin() + static_cast<std::ptrdiff_t>(inputs),
                         header.begin() + static_cast<std::ptrdiff_t>(end));
  return options;
}

bool GroupsAreTasks(const v1::ModelDescription& model) {
  return model.shared_classes() || (model.has_data_set() && model.target_size() > 0);
}

// The one group of the rows; empty where they tell none.
absl::StatusOr<std::string> GroupOf(const CsvRows& rows, const std::string& column) {
  const std::set<std::string> groups(rows.groups.begin(), rows.groups.end());
  if (groups.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has rows of ", groups.size(), " groups (column '", column, "': '", *groups.begin(), "', '",
        *std::next(groups.begin()), groups.size() > 2 ? "', ..." : "'",
        "), and each is a task of its own; choose one with --group"));
  }
  return groups.empty() ? "" : *groups.begin();
}

}  // namespace

absl::StatusOr<OwnExamples> ReadTable(const v1::ModelDescription& model, const std::string& source,
                                      const std::string& group, bool with_targets) {
  const auto invalid = [&](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", what...));
  };
  std::error_code error;
  if (std::filesystem::is_directory(source, error)) {
    return invalid("is a folder; the model takes ", model.input_shape(0),
                   " numbers an example, which stand in a CSV file");
  }
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> header, ReadCsvHeader(source));
  CsvImportOptions options =
      model.has_data_set() ? CsvOptionsOf(model.data_set()) : ByPlace(model, header);
  options.file = source;
  if (!group.empty() && options.group.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--group ", group, ": what the model was trained on had no column of groups"));
  }
  const auto there = [&](const std::string& column) {
    return std::find(header.begin(), header.end(), column) != header.end();
  };
  if (!with_targets && std::none_of(options.targets.begin(), options.targets.end(), there)) {
    options.targets.clear();
  }
  INNERLOOP_ASSIGN_OR_RETURN(CsvRows rows, ReadCsvRows(options, group));
  if (rows.width != model.input_shape(0)) {
    return invalid("has ", rows.width, " columns of inputs; the model takes ",
                   model.input_shape(0));
  }
  if (with_targets && model.target_size() > 0 &&
      rows.target_names.size() != static_cast<size_t>(model.target_size())) {
    return invalid("has ", rows.target_names.size(), " columns of targets behind ", rows.width,
                   " of inputs; the model wants ", model.target_size());
  }
  OwnExamples examples;
  if (GroupsAreTasks(model)) {
    const absl::StatusOr<std::string> of = GroupOf(rows, options.group);
    if (!of.ok()) {
      return invalid(of.status().message());
    }
    examples.group = *of;
  }
  *examples.inputs.mutable_shape() = model.input_shape();
  examples.inputs.set_float32(reinterpret_cast<const char*>(rows.features.data()),
                              rows.features.size() * sizeof(float));
  for (const int64_t place : rows.places) {
    examples.names.push_back(absl::StrCat("row ", place));
  }
  examples.classes = std::move(rows.classes);
  examples.targets = std::move(rows.targets);
  examples.target_names = std::move(rows.target_names);
  return examples;
}

}  // namespace innerloop::client
