#include "core/dataset/csv_rows.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/dataset/csv_columns.h"
#include "core/dataset/csv_reader.h"
#include "core/support/nearest_name.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// What CsvRows keeps of a row.
uint64_t BytesOfRow(const std::vector<std::string>& cells, const CsvColumns& columns,
                    bool regression) {
  uint64_t bytes = sizeof(int64_t) + columns.features.size() * sizeof(float);
  for (const size_t column : columns.targets) {
    bytes += regression ? sizeof(float) : BytesOfText(cells[column]);
  }
  return bytes + (columns.group.has_value() ? BytesOfText(cells[*columns.group]) : 0);
}

absl::Status CheckLength(const std::vector<std::string>& cells,
                         const std::vector<std::string>& header) {
  return cells.size() == header.size() ? absl::OkStatus()
                                       : absl::InvalidArgumentError(absl::StrCat(
                                             "the row's number of cells is ", cells.size(),
                                             "; the first line's is ", header.size()));
}

absl::Status AddRow(const std::vector<std::string>& cells, const std::vector<std::string>& header,
                    const CsvColumns& columns, bool regression, CsvRows& rows) {
  if (columns.group.has_value()) {
    rows.groups.push_back(cells[*columns.group]);
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

absl::StatusOr<CsvRows> ReadCsvRows(CsvImportOptions options, const std::string& of_group) {
  INNERLOOP_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(options.file));
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> header, HeaderOf(reader));
  if (of_group.empty() && std::find(header.begin(), header.end(), options.group) == header.end()) {
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
  std::set<std::string> others;
  uint64_t bytes = 0;
  std::vector<std::string> cells;
  for (int64_t place = 1;; ++place) {
    INNERLOOP_ASSIGN_OR_RETURN(const bool more, reader.Next(cells));
    if (!more) {
      break;
    }
    absl::Status taken = CheckLength(cells, header);
    if (taken.ok() && !of_group.empty() && cells[*columns->group] != of_group) {
      const auto [other, fresh] = others.insert(cells[*columns->group]);
      bytes += fresh ? BytesOfText(*other) : 0;
    } else if (taken.ok()) {
      taken = AddRow(cells, header, *columns, options.regression, rows);
      rows.places.push_back(place);
      bytes += BytesOfRow(cells, *columns, options.regression);
    }
    taken.Update(CheckBytes(bytes, options.max_bytes));
    if (!taken.ok()) {
      return reader.ErrorAt(reader.line(), taken.message());
    }
  }
  if (rows.count == 0 && others.empty()) {
    return reader.ErrorAt(1, "no rows follow the first line");
  }
  if (rows.count == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.file, ": no row has '", of_group, "' in the column '", options.group,
                     "'; ", KnownNames({others.begin(), others.end()}, of_group)));
  }
  return rows;
}

}  // namespace innerloop
