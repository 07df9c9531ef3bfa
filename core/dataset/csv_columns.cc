#include "core/dataset/csv_columns.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/support/nearest_name.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

using Places = absl::flat_hash_map<std::string, size_t>;

template <typename... Parts>
absl::Status Invalid(const Parts&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

bool IsNumber(const std::string& cell) {
  double ignored = 0;
  return ParseDecimal(cell, ignored);
}

absl::StatusOr<Places> PlacesOf(const std::vector<std::string>& header) {
  if (std::all_of(header.begin(), header.end(), IsNumber)) {
    return Invalid("the first line holds numbers alone; it must name the columns");
  }
  Places places;
  for (size_t i = 0; i < header.size(); ++i) {
    if (!places.emplace(header[i], i).second) {
      return Invalid("the column '", header[i], "' is there twice");
    }
  }
  return places;
}

absl::StatusOr<size_t> Find(const std::string& name, const Places& places,
                            const std::vector<std::string>& header) {
  const auto found = places.find(name);
  if (found == places.end()) {
    return Invalid("no column is called '", name, "'; ", KnownNames(header, name));
  }
  return found->second;
}

// A column, or a run "FIRST-LAST" of them. Names may hold hyphens themselves.
absl::Status Append(const std::string& item, const Places& places,
                    const std::vector<std::string>& header, std::vector<size_t>& columns) {
  if (!places.contains(item)) {
    std::string unknown_end;
    for (size_t at = item.find('-'); at != std::string::npos; at = item.find('-', at + 1)) {
      const auto first = places.find(item.substr(0, at));
      const auto last = places.find(item.substr(at + 1));
      if (first == places.end() || last == places.end()) {
        if (first != places.end() || last != places.end()) {
          unknown_end = first == places.end() ? item.substr(0, at) : item.substr(at + 1);
        }
        continue;
      }
      if (first->second > last->second) {
        return Invalid("the columns '", item, "' run backwards; write ", last->first, "-",
                       first->first);
      }
      for (size_t i = first->second; i <= last->second; ++i) {
        columns.push_back(i);
      }
      return absl::OkStatus();
    }
    if (!unknown_end.empty()) {
      return Invalid("no column is called '", unknown_end, "', as '", item, "' has it; ",
                     KnownNames(header, unknown_end));
    }
  }
  INNERLOOP_ASSIGN_OR_RETURN(const size_t column, Find(item, places, header));
  columns.push_back(column);
  return absl::OkStatus();
}

absl::Status CheckOnce(const CsvColumns& columns, const std::vector<std::string>& header) {
  std::vector<bool> used(header.size(), false);
  std::vector<size_t> all = columns.features;
  all.insert(all.end(), columns.targets.begin(), columns.targets.end());
  if (columns.group.has_value()) {
    all.push_back(*columns.group);
  }
  for (const size_t column : all) {
    if (used[column]) {
      return Invalid("the column '", header[column],
                     "' is asked for twice: columns are features, targets or the group");
    }
    used[column] = true;
  }
  return absl::OkStatus();
}

}  // namespace

bool ParseDecimal(const std::string& cell, double& number) {
  constexpr char kOfDecimals[] = "0123456789+-.eE \t\r\n";
  return cell.find_first_not_of(kOfDecimals) == std::string::npos &&
         absl::SimpleAtod(cell, &number);
}

absl::StatusOr<float> NumberOf(const std::string& cell, const std::string& column) {
  double number = 0;
  if (!ParseDecimal(cell, number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "column '", column, "' is '", cell.substr(0, 100), "'; a decimal number is expected"));
  }
  const auto value = static_cast<float>(number);
  if (!std::isfinite(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("column '", column, "' is ", cell, ", which is beyond float32's range"));
  }
  return value;
}

absl::Status CheckBytes(uint64_t bytes, uint64_t most) {
  return bytes <= most
             ? absl::OkStatus()
             : Invalid("the rows up to here take more than ", most,
                       " bytes of memory, the most of one table; leave out rows or columns");
}

absl::StatusOr<CsvColumns> ChooseColumns(const CsvImportOptions& options,
                                         const std::vector<std::string>& header) {
  INNERLOOP_ASSIGN_OR_RETURN(const Places places, PlacesOf(header));
  CsvColumns columns;
  for (const std::string& target : options.targets) {
    INNERLOOP_ASSIGN_OR_RETURN(const size_t column, Find(target, places, header));
    columns.targets.push_back(column);
  }
  if (!options.group.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(columns.group, Find(options.group, places, header));
  }
  for (const std::string& item : options.features) {
    INNERLOOP_RETURN_IF_ERROR(Append(item, places, header, columns.features));
  }
  if (options.features.empty()) {
    for (size_t i = 0; i < header.size(); ++i) {
      if (columns.group != i &&
          std::find(columns.targets.begin(), columns.targets.end(), i) == columns.targets.end()) {
        columns.features.push_back(i);
      }
    }
  }
  if (columns.features.empty()) {
    return Invalid("no column is left for the features");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckOnce(columns, header));
  return columns;
}

}  // namespace innerloop
