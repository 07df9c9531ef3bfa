#include "core/dataset/csv_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/dataset/csv_columns.h"
#include "core/dataset/csv_reader.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

absl::Status AddRow(const std::vector<std::string>& cells, const std::vector<std::string>& header,
                    const CsvColumns& columns, bool regression, CsvRows& rows) {
  if (cells.size() != header.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the row's number of cells is ", cells.size(),
                                                   "; the first line's is ", header.size()));
  }
  for (const size_t column : columns.features) {
    INNERLOOP_ASSIGN_OR_RETURN(const float value, NumberOf(cells[column], header[column]));
    rows.features.push_back(value);
  }
  for (const size_t column : columns.targets) {
    if (regression) {
      INNERLOOP_ASSIGN_OR_RETURN(const float value, NumberOf(cells[column], header[column]));
      rows.targets.push_back(value);
    } else if (absl::StripAsciiWhitespace(cells[column]).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("column '", header[column], "' is empty; it names the row's class"));
    } else {
      rows.classes.push_back(cells[column]);
    }
  }
  ++rows.count;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> HeaderOf(CsvReader& reader) {
  std::vector<std::string> header;
  INNERLOOP_ASSIGN_OR_RETURN(const bool any, reader.Next(header));
  if (!any) {
    return reader.ErrorAt(1, "the file is empty; its first line must name the columns");
  }
  return header;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadCsvHeader(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(path));
  return HeaderOf(reader);
}

absl::StatusOr<CsvRows> ReadCsvRows(CsvImportOptions options) {
  INNERLOOP_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(options.file));
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> header, HeaderOf(reader));
  if (std::find(header.begin(), header.end(), options.group) == header.end()) {
    options.group.clear();
  }
  const absl::StatusOr<CsvColumns> columns = ChooseColumns(options, header);
  if (!columns.ok()) {
    return reader.ErrorAt(reader.line(), columns.status().message());
  }
  CsvRows rows;
  rows.width = static_cast<int64_t>(columns->features.size());
  for (const size_t column : columns->targets) {
    rows.target_names.push_back(header[column]);
  }
  std::vector<std::string> cells;
  for (;;) {
    INNERLOOP_ASSIGN_OR_RETURN(const bool more, reader.Next(cells));
    if (!more) {
      break;
    }
    if (const absl::Status added = AddRow(cells, header, *columns, options.regression, rows);
        !added.ok()) {
      return reader.ErrorAt(reader.line(), added.message());
    }
  }
  if (rows.count == 0) {
    return reader.ErrorAt(1, "no rows follow the first line");
  }
  return rows;
}

}  // namespace innerloop
